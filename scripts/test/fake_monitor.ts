// Stands in for the monitor where examples of the documentation start a VM: the same protocol, a guest that only answers.
import { join } from "node:path";
import type { MonitorOrder, MonitorReport } from "../../src/control/mod.ts";
import { TestAgent } from "../../src/agent/testing.ts";
import { ServedVm } from "../../src/control/testing.ts";

const report = (report: MonitorReport) => console.log(JSON.stringify(report));
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
const { config, logFile } = JSON.parse((await lines.next()).value ?? "{}") as MonitorOrder;
Deno.removeSync(logFile);
const base = join(Deno.env.get("XDG_RUNTIME_DIR") ?? "/nowhere");
{
  await using served = await ServedVm.start({ name: config.name, base });
  // Its guest is this machine.
  await using _agent = await TestAgent.start(served.vm.runtimeDir);
  report({ kind: "ready" });
  // Who started it has ended.
  void lines.next().then(() => served.vm.quit());
  report({ kind: "outcome", outcome: await served.vm.outcome });
}
try {
  // The last one of a test takes the folder along.
  Deno.removeSync(join(base, "spectrum"));
  Deno.removeSync(base);
} catch (error) {
  if (!(error instanceof Deno.errors.NotFound) && !/not empty/i.test(String(error))) throw error;
}
Deno.exit(0);
