/**
 * Runs a VM that another program drives: its console is standard output, and each line of standard input is a command, answered on
 * standard error by a line `@@ok COMMAND MILLISECONDS` or `@@failed COMMAND: REASON`. Bundled by `driven_vm.ts`, since the lab has no packages.
 *
 * Arguments: a JSON object of VmInput (with `initrd` and `cmdline`), and optionally the folder of a snapshot to restore.
 */

import { parseConfig, type VmInput } from "../../src/config/mod.ts";
import { Log, readSnapshotInfo, RunningVm } from "../../src/machine/mod.ts";

const [input, restore] = Deno.args;
const changes: Partial<VmInput> = { console: { to: "stdio" }, ...JSON.parse(input) };
const start = performance.now();

const words = (cmdline: string) => `console=ttyS0 panic=-1 ${cmdline}`;
const { config, plan } = restore === undefined
  ? await parseConfig("", "test", changes).then((config) => ({
    config,
    plan: { kernel: config.kernel, initrd: config.initrd, cmdline: words(config.cmdline) },
  }))
  : await readSnapshotInfo(restore, changes);
const log = new Log({ format: "text", level: "debug" });
await using vm = RunningVm.start(config, plan, { log, restore });
await vm.started;
answer(`@@ok started ${Math.round(performance.now() - start)}`);
void vm.outcome.then(async (end) => {
  answer(`@@ended ${JSON.stringify(end)}`);
  await vm[Symbol.asyncDispose]();
  Deno.exit(0);
});

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
let rest = "";
for await (const text of lines) {
  rest += text;
  for (let end; (end = rest.indexOf("\n")) >= 0; rest = rest.slice(end + 1)) {
    await obey(rest.slice(0, end));
  }
}

async function obey(line: string): Promise<void> {
  const [command, ...words] = line.split(" ");
  const argument = words.join(" ");
  const begin = performance.now();
  try {
    await perform(command, argument);
    answer(`@@ok ${command} ${Math.round(performance.now() - begin)}`);
  } catch (error) {
    answer(`@@failed ${command}: ${error instanceof Error ? error.message : error}`);
  }
}

async function perform(command: string, argument: string): Promise<void> {
  switch (command) {
    case "pause":
      return await vm.pause();
    case "resume":
      return await vm.resume();
    case "snapshot":
      return await vm.snapshot(argument);
    case "cycles":
      for (let i = 0; i < Number(argument); i++) {
        await vm.pause();
        await vm.resume();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return;
    case "sleep":
      return await new Promise((resolve) => setTimeout(resolve, Number(argument)));
    case "info":
      return answer(JSON.stringify(vm.info()));
    case "type": {
      using input = vm.console.takeInput();
      return await input?.input(new TextEncoder().encode(`${argument}\n`));
    }
    case "quit":
      return vm.quit();
    default:
      throw new Error("no such command");
  }
}

function answer(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
}
