import { bundled } from "../../scripts/build/mod.ts";
import type { policies } from "../../src/devices/mod.ts";
import { workerFlags } from "../../src/os/mod.ts";
import type { Policy } from "../../src/sandbox/mod.ts";
import { within } from "../interop/soak/surroundings.ts";

/** What a worker, or its runtime alone, is put through under a policy. */
export interface Exercise {
  readonly name: string;
  /** Whose policy it is about. What the runtime does alone, it does in all kinds: that of one stands for it. */
  readonly kind: keyof typeof policies;
  /** How it ended, or undefined when all was done. */
  run(policy: Policy, script: string): Promise<string | undefined>;
}

/** How many processes begin, one after the other: in which of them a thread begins after the lock is chance. */
const BEGINNERS = 6;
/** One processor alone: a thread begins when the one that has started it waits. */
const ONE_PROCESSOR = ["taskset", "--cpu-list", "0"];

/** What is quick and notices most comes first. */
export const exercises: readonly Exercise[] = [
  load("wl"),
  load("blk direct"),
  load("blk direct, no io_uring"),
  load("blk cached"),
  load("blk device"),
  load("net stream"),
  load("net tap"),
  load("vsock"),
  load("console"),
  load("rng"),
  runtime("threads that begin", BEGINNERS, ONE_PROCESSOR),
  runtime("busy"),
  runtime("threads that end"),
];

const here = (name: string) => new URL(name, import.meta.url).pathname;

/** The script of a worker with another policy, for {@linkcode Exercise.run}. */
export async function buildScript(path: string): Promise<void> {
  await Deno.writeTextFile(path, await bundled("changed device", here("changed_device.ts")));
  await Deno.chmod(path, 0o644);
}

function load(name: string): Exercise {
  return {
    name,
    kind: name.split(" ")[0] as keyof typeof policies,
    async run(policy, script) {
      const folder = await Deno.makeTempDir({ dir: "/var/tmp", prefix: "spectrum-rules-" });
      try {
        const args = [name, folder, script, JSON.stringify(policy)];
        const program = [Deno.execPath(), "run", "-A", "--no-check", here("run_changed.ts")];
        return await within(name, folder, (enter) => ends([...enter, ...program, ...args]));
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  };
}

function runtime(name: string, times = 1, enter: readonly string[] = []): Exercise {
  return {
    name,
    kind: "rng",
    async run(policy) {
      const flags = [...workerFlags, "--no-check"];
      const program = [...enter, Deno.execPath(), "run", ...flags, here("run_engine.ts")];
      const command = [...program, name, JSON.stringify(policy)];
      let how: string | undefined;
      for (let i = 0; i < times && how === undefined; i++) how = await ends(command);
      return how;
    },
  };
}

/** How a program ended, or undefined when it did so with 0. */
async function ends([command, ...args]: readonly string[]): Promise<string | undefined> {
  const { success, signal, stdout, stderr } = await new Deno.Command(command, {
    args,
    stdin: "null",
  }).output();
  if (success) return undefined;
  const text = new TextDecoder();
  return text.decode(stdout).trim() || signal || text.decode(stderr).trim() || "it failed";
}
