import type { VmConfig } from "../config/mod.ts";
import type { LogOptions, RunOutcome } from "../machine/mod.ts";
import { payload } from "../os/mod.ts";
import type { SandboxMode } from "../sandbox/mod.ts";
import { StartError } from "./errors.ts";

/** What a monitor is told on its standard input: one line of JSON. */
export interface MonitorOrder {
  readonly config: VmConfig;
  /** Absolute path of a snapshot to go on from. */
  readonly restore?: string;
  /** How much of a jail workers get. */
  readonly sandbox?: SandboxMode;
  readonly log: Pick<LogOptions, "format" | "level">;
  /** A file that the monitor's log goes to; it moves into the runtime directory. */
  readonly logFile: string;
  /** It ends when its standard input does, so that it does not outlive who started it. */
  readonly bound: boolean;
}

/** What a monitor says on its standard output: lines of JSON. */
export type MonitorReport =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly exitStatus: number; readonly message: string }
  | { readonly kind: "outcome"; readonly outcome: RunOutcome };

/** A monitor in a process of its own. */
export class MonitorProcess {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reports: AsyncIterator<MonitorReport>;

  private constructor(child: Deno.ChildProcess, input: WritableStreamDefaultWriter<Uint8Array>) {
    this.#child = child;
    this.#input = input;
    this.#reports = readReports(child.stdout);
  }

  /**
   * Starts a monitor; resolves when its guest's kernel runs.
   *
   * @param options.signal ends a start that takes too long
   * @throws {StartError} with what kept it from starting
   */
  static async start(
    order: MonitorOrder,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<MonitorProcess> {
    const [program, ...args] = payload().command;
    const child = new Deno.Command(program, {
      args: [...args, "monitor"],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      // Ctrl-C at the terminal of who started it is not for it.
      detached: true,
    }).spawn();
    const monitor = new MonitorProcess(child, child.stdin.getWriter());
    const kill = () => monitor.kill();
    signal?.addEventListener("abort", kill);
    try {
      await monitor.#input.write(new TextEncoder().encode(JSON.stringify(order) + "\n"))
        .catch(() => {});
      if (!order.bound) await monitor.#input.close().catch(() => {});
      await monitor.#ready();
      return monitor;
    } finally {
      signal?.removeEventListener("abort", kill);
    }
  }

  async #ready(): Promise<void> {
    const report = await this.#next();
    if (report?.kind === "ready") return;
    const { code, signal } = await this.#child.status;
    if (report?.kind === "failed") throw new StartError(report.exitStatus, report.message);
    throw new StartError(4, `The monitor ended with ${signal ?? `status ${code}`} as it started.`);
  }

  async #next(): Promise<MonitorReport | undefined> {
    const { value, done } = await this.#reports.next();
    return done ? undefined : value;
  }

  /** How the VM ends. Of a monitor that dies without a word it is a failure. */
  async outcome(): Promise<RunOutcome> {
    const report = await this.#next();
    const { code, signal } = await this.#child.status;
    if (report?.kind === "outcome") return report.outcome;
    const reason = report?.kind === "failed"
      ? report.message
      : `the monitor ended with ${signal ?? `status ${code}`}`;
    return { kind: "failed", reason };
  }

  /** Lets this process end before the monitor does. */
  letGo(): void {
    this.#child.unref();
    void this.#reports.return?.();
  }

  /** Ends it at once. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /** Ends a bound monitor, which ends its VM; resolves when it is gone. */
  async close(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }
}

async function* readReports(output: ReadableStream<Uint8Array>): AsyncGenerator<MonitorReport> {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line) as MonitorReport;
  }
}
