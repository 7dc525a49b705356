import { join } from "node:path";
import { ControlServer, type MonitorOrder, type MonitorReport } from "../control/mod.ts";
import { Log, readSnapshotInfo, type RunningVm, type RunOutcome, runVm } from "../machine/mod.ts";
import { openFile, redirect } from "../os/mod.ts";
import { exitStatusOf } from "./exit_status.ts";
import { KeptConsole } from "./kept_console.ts";
import { prepareBoot } from "./resolve_boot.ts";

/** For how long a guest that prints nothing is waited for, in milliseconds; then its kernel is taken to run. */
const FIRST_OUTPUT_MS = 2000;

/** Runs the VM that is described on standard input and reports on standard output; see monitor_process.ts. */
export async function runMonitor(): Promise<void> {
  const input = new Input();
  const order = JSON.parse(await input.line()) as MonitorOrder;
  // Also for workers, which have the standard error that this process has when it starts them.
  logTo(order.logFile);
  const config = order.config;
  const log = new Log(order.log).for({ vm: config.name });
  const toLog = config.console.to === "stdio";
  try {
    const { restore, sandbox } = order;
    const boot = restore === undefined
      ? await prepareBoot(config, (text) => log.warn(text))
      : (await readSnapshotInfo(restore)).plan;
    const outcome = await runVm(config, boot, {
      ...{ log, restore, sandbox, headless: true },
      attend: (vm) => attend(vm, { order, log, input, keepsConsole: toLog }),
    });
    if (outcome.kind === "failed") log.error(outcome.reason);
    report({ kind: "outcome", outcome });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    log.error(message);
    report({ kind: "failed", exitStatus: exitStatusOf(error), message });
    removeUnused(order.logFile);
  }
}

interface Surroundings {
  readonly order: MonitorOrder;
  readonly log: Log;
  readonly input: Input;
  /** What the guest prints goes to a file in the runtime directory. */
  readonly keepsConsole: boolean;
}

/** What goes with a VM that nobody has at a terminal. */
async function attend(
  vm: RunningVm,
  { order, log, input, keepsConsole }: Surroundings,
): Promise<AsyncDisposable> {
  await using owned = new AsyncDisposableStack();
  const dir = vm.runtime.path;
  Deno.renameSync(order.logFile, join(dir, "log"));
  if (order.bound) void input.end().then(() => vm.quit());
  // What never ran has said why to who started it.
  else void vm.started.then(() => vm.runtime.keep(), () => {});
  let ended: RunOutcome | undefined;
  vm.outcome.then((outcome) => ended = outcome, (error) => {
    ended = { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  });
  owned.defer(() => vm.runtime.record({ outcome: ended }));
  if (keepsConsole) {
    const kept = owned.use(new KeptConsole(join(dir, "console.log")));
    owned.use(vm.console.attach(kept));
  }
  owned.use(new ControlServer(vm, { dir, log }));
  void ready(vm);
  return owned.move();
}

/** Says that the guest's kernel runs: it printed something, or had its time to. */
async function ready(vm: RunningVm): Promise<void> {
  const printed = Promise.withResolvers<void>();
  using _viewer = vm.console.attach({
    write: () => {
      printed.resolve();
      return Promise.resolve();
    },
  });
  try {
    await vm.started;
  } catch {
    // Told as the outcome.
    return;
  }
  const timer = setTimeout(printed.resolve, FIRST_OUTPUT_MS);
  const running = await Promise.race([
    printed.promise.then(() => true),
    // One that has ended so soon says how, and is not ready.
    vm.outcome.then(({ kind }) => kind !== "failed", () => false),
  ]);
  clearTimeout(timer);
  if (running) report({ kind: "ready" });
}

function logTo(path: string): void {
  using file = openFile(path, { writeOnly: true, append: true });
  redirect("error", file);
}

function report(report: MonitorReport): void {
  try {
    const bytes = new TextEncoder().encode(JSON.stringify(report) + "\n");
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch {
    // Nobody waits for it any more.
  }
}

/** A log that has found no runtime directory. */
function removeUnused(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Standard input: one line, and then its end. */
class Input {
  readonly #buffer = new Uint8Array(65536);

  async line(): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("\n")) {
      const count = await Deno.stdin.read(this.#buffer);
      if (count === null) break;
      text += decoder.decode(this.#buffer.subarray(0, count), { stream: true });
    }
    return text;
  }

  async end(): Promise<void> {
    while (await Deno.stdin.read(this.#buffer).catch(() => null) !== null);
  }
}
