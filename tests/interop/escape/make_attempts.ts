import {
  memfd,
  openFile,
  payload,
  pipe,
  Reactor,
  read,
  workerFlags,
  writeAll,
} from "../../../src/os/mod.ts";
import { type Policy, Starter, workerEnvironment } from "../../../src/sandbox/mod.ts";
import { type Column, partOf } from "./columns.ts";
import type { Results } from "./table.ts";

/** Paths of what takes part, the jails by kind of device, and how much of them there is each time. */
export interface Parts {
  /** `hostile_device.ts`; from one executable, that has its own. */
  readonly bundle: string;
  /** The attempts. */
  readonly library: string;
  /** A file to read. */
  readonly victim: string;
  /** A message queue of System V that everybody may look at, if there is one. */
  readonly queue?: string;
  readonly policies: Readonly<Record<string, Policy>>;
  readonly columns: readonly Column[];
}

/** Lets hostile code loose in the place of each kind of device, in each part of its jail. */
export async function makeAttempts(parts: Parts): Promise<Record<string, Results>> {
  const { bundle, library, victim, queue = "0", policies, columns } = parts;
  const real = payload();
  if (!real.selfContained) {
    const device = [Deno.execPath(), "run", ...workerFlags, bundle];
    globalThis.spectrumPayload = { ...real, device };
  }
  const bytes = await Deno.readFile(library);
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);

  async function attempt(kind: string, column: Column) {
    const policy = partOf(policies[kind], column);
    using attempts = memfd("attempts", bytes.length);
    writeAll(attempts, bytes);
    using file = openFile(victim);
    const [output, input] = pipe();
    using from = output;
    using program = real.selfContained ? openFile("/proc/self/exe") : undefined;
    const child = await starter.start({
      argv: [...payload().device, String(Deno.pid), queue, real.shim, JSON.stringify(policy.calls)],
      program,
      env: workerEnvironment(policy),
      descriptors: [{ fd: input, as: 1 }, { fd: file, as: 4 }, { fd: attempts, as: 5 }],
      policy,
    });
    input[Symbol.dispose]();
    const end = await child.exited;
    const buffer = new Uint8Array(65536);
    const text = new TextDecoder().decode(buffer.subarray(0, Math.max(0, read(from, buffer))));
    if (text === "") throw new Error(`${kind}, ${column}: ${JSON.stringify(end)}`);
    return JSON.parse(text) as [string, number][];
  }

  try {
    const outcome: Record<string, Results> = {};
    for (const kind of Object.keys(policies)) {
      const results: { -readonly [C in Column]?: Results[C] } = {};
      for (const column of columns) results[column] = await attempt(kind, column);
      outcome[kind] = results;
    }
    return outcome;
  } finally {
    await starter.close();
  }
}
