// Lets hostile code loose in the place of each kind of device, in each part of its jail, and prints what came of it.
//
// Argument: JSON of paths of the bundle, of the attempts and of a file to read, of the policies by kind, and which columns.

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

interface Parts {
  readonly bundle: string;
  readonly library: string;
  readonly victim: string;
  readonly policies: Readonly<Record<string, Policy>>;
  readonly columns: readonly Column[];
}

/** Results by kind, column and attempt: 0 or -errno; -999 for a call that kills. */
type Outcome = Record<string, Partial<Record<Column, readonly (readonly [string, number])[]>>>;

const { bundle, library, victim, policies, columns } = JSON.parse(Deno.args[0]) as Parts;
const real = payload();
if (!real.selfContained) {
  const device = [Deno.execPath(), "run", ...workerFlags, bundle];
  globalThis.spectrumPayload = { ...real, device };
}
const reactor = new Reactor();
const starter = Starter.spawn(reactor);
const bytes = Deno.readFileSync(library);

async function attempt(kind: string, column: Column) {
  const policy = partOf(policies[kind], column);
  using attempts = memfd("attempts", bytes.length);
  writeAll(attempts, bytes);
  using file = openFile(victim);
  const [output, input] = pipe();
  using from = output;
  using program = real.selfContained ? openFile("/proc/self/exe") : undefined;
  const child = await starter.start({
    argv: [...payload().device, String(Deno.pid), real.shim, JSON.stringify(policy.calls)],
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

const outcome: Outcome = {};
for (const kind of Object.keys(policies)) {
  outcome[kind] = {};
  for (const column of columns) outcome[kind][column] = await attempt(kind, column);
}
await starter.close();
reactor[Symbol.dispose]();
console.log(JSON.stringify(outcome));
