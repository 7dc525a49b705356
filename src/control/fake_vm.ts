import { parseConfig, type VmConfig } from "../config/mod.ts";
import {
  ConsoleHub,
  type RunOutcome,
  type VmControl,
  type VmEvent,
  type VmEventKind,
  type VmInfo,
  type VmState,
  VmStateError,
} from "../machine/mod.ts";

/**
 * A VM without a machine, for tests and for the examples of the documentation: it has a state, events and a console
 * that answers each line it is given.
 */
export class FakeVm implements VmControl {
  readonly console = new ConsoleHub();
  readonly #outcome = Promise.withResolvers<RunOutcome>();
  readonly #listeners = new Set<(event: VmEvent | undefined) => void>();
  readonly #startedAt = new Date();
  #state: VmState = "running";
  #resets = 0;
  #restarts = 0;
  /** Its device is connected again when it was restarted. */
  backendComesBack = true;
  /** A guest that obeys its power button. */
  obedient = true;
  /** Directories that snapshots went to. */
  readonly snapshots: string[] = [];

  private constructor(readonly config: VmConfig, readonly runtimeDir: string) {
    this.console.guest = { input: (bytes) => this.#typed(bytes) };
  }

  /** Makes one that runs. */
  static async create(name: string, runtimeDir: string): Promise<FakeVm> {
    const config = await parseConfig("", "fake", { name, kernel: "/boot/fake", cpus: 2 });
    const vm = new FakeVm(config, runtimeDir);
    await vm.console.write(new TextEncoder().encode("fake guest\r\n$ "));
    return vm;
  }

  get outcome(): Promise<RunOutcome> {
    return this.#outcome.promise;
  }

  info(): VmInfo {
    const { name, cpus, memory, kernel, cmdline } = this.config;
    return {
      name,
      pid: Deno.pid,
      state: this.#state,
      startedAt: this.#startedAt.toISOString(),
      uptimeSeconds: (Date.now() - this.#startedAt.getTime()) / 1000,
      cpus,
      memoryBytes: memory,
      kernel,
      cmdline,
      resets: this.#resets,
      devices: [{
        name: "disk0",
        kind: "blk",
        backend: "worker",
        state: this.backendComesBack || this.#restarts === 0 ? "connected" : "away",
        pid: 4242,
        permissions: 'none; its socket, "disk.img"',
        restarts: 1 + this.#restarts,
        queues: [{ index: 0, size: 256, enabled: true, available: 3, used: 65535 }],
        features: "0x100000000",
      }],
      provides: [],
      runtimeDir: this.runtimeDir,
      sandbox: "full",
    };
  }

  exits(): Record<string, number> {
    return { io: 12, mmio: 3 };
  }

  // deno-lint-ignore require-await
  async pause(): Promise<void> {
    this.#require("running", "paused");
    if (this.#state === "paused") return;
    this.#state = "paused";
    this.tell("paused");
  }

  // deno-lint-ignore require-await
  async resume(): Promise<void> {
    this.#require("running", "paused");
    if (this.#state === "running") return;
    this.#state = "running";
    this.tell("resumed");
  }

  powerButton(): void {
    this.tell("power-button");
    if (this.obedient) this.quit();
  }

  async stop(graceMs: number): Promise<RunOutcome> {
    this.powerButton();
    const timer = setTimeout(() => this.quit(), graceMs);
    await this.outcome;
    clearTimeout(timer);
    return await this.outcome;
  }

  quit(): void {
    this.end({ kind: "off" });
  }

  reset(): void {
    this.#require("running");
    this.#resets++;
    this.tell("reset");
  }

  // deno-lint-ignore require-await
  async restartDevice(name: string): Promise<void> {
    this.#require("running", "paused");
    this.#restarts++;
    for (const kind of ["device-away", "device-back"] as const) this.tell(kind, undefined, name);
  }

  // deno-lint-ignore require-await
  async snapshot(dir: string): Promise<void> {
    this.#require("paused");
    this.snapshots.push(dir);
    this.tell("snapshot");
  }

  events(signal?: AbortSignal): AsyncIterable<VmEvent> {
    const queue: (VmEvent | undefined)[] = this.#state === "ended" ? [undefined] : [];
    let wake = () => {};
    const listen = (event: VmEvent | undefined) => {
      queue.push(event);
      wake();
    };
    this.#listeners.add(listen);
    signal?.addEventListener("abort", () => listen(undefined));
    const listeners = this.#listeners;
    return (async function* () {
      try {
        for (;;) {
          if (queue.length === 0) await new Promise<void>((resolve) => wake = resolve);
          const event = queue.shift();
          if (event === undefined) return;
          yield event;
        }
      } finally {
        listeners.delete(listen);
      }
    })();
  }

  /** How many listen to events. */
  get listeners(): number {
    return this.#listeners.size;
  }

  /** Lets something happen. */
  tell(kind: VmEventKind, detail?: string, device?: string): void {
    const event = { time: new Date().toISOString(), kind, device, detail };
    for (const listen of this.#listeners) listen(event);
  }

  /** Ends it. */
  end(outcome: RunOutcome): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.tell("ended", outcome.kind === "failed" ? outcome.reason : undefined);
    for (const listen of this.#listeners) listen(undefined);
    this.#outcome.resolve(outcome);
  }

  #require(...states: VmState[]): void {
    if (states.includes(this.#state)) return;
    throw new VmStateError(this.#state, `The VM is ${this.#state}, not ${states.join(" or ")}.`);
  }

  async #typed(bytes: Uint8Array): Promise<void> {
    const text = new TextDecoder().decode(bytes).replaceAll("\r", "\n");
    const answers = text.split("\n").slice(0, -1).map((line) =>
      `${line}\r\nyou said: ${line}\r\n$ `
    );
    await this.console.write(new TextEncoder().encode(answers.join("")));
  }
}
