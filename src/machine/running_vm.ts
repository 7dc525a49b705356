import type { VmConfig } from "../config/mod.ts";
import { exitReasonName } from "../kvm/mod.ts";
import type { SandboxMode, StarterPaths } from "../sandbox/mod.ts";
import { SpareThreads } from "../vcpu/mod.ts";
import type { MachineSource } from "./assemble_machine.ts";
import { BootFiles } from "./boot_files.ts";
import type { BootPlan } from "./boot_plan.ts";
import { Cgroup } from "./cgroup.ts";
import { confineMonitor } from "./confine_monitor.ts";
import { ConsoleHub } from "./console_hub.ts";
import { openConsoleOutput } from "./console_output.ts";
import { ConsoleSocket } from "./console_socket.ts";
import type { MachineEnd } from "./describe_outcome.ts";
import { describeDevice } from "./describe_device.ts";
import type { DeviceParts } from "./device_parts.ts";
import type { OnDeviceChange } from "./device_supervisor.ts";
import { GuestAgent } from "./guest_agent.ts";
import { Host } from "./host.ts";
import type { Log } from "./log.ts";
import { monitorFiles } from "./monitor_files.ts";
import type { RunOutcome } from "./outcome.ts";
import { type CycleParts, PowerCycle } from "./power_cycle.ts";
import { Provisions } from "./provide/provisions.ts";
import { RuntimeDir } from "./runtime_dir.ts";
import {
  type VmControl,
  type VmEvent,
  type VmInfo,
  type VmState,
  VmStateError,
} from "./vm_control.ts";
import { VmEvents } from "./vm_events.ts";
import { openDevices, providersOf } from "./vm_devices.ts";

/**
 * A guest that has not powered off that long after its power button was pressed is asked by its agent, in milliseconds;
 * sooner when it has less time than three times as much.
 */
const DEAF_TO_BUTTON_MS = 5000;

/** What goes with a VM, beside its configuration. */
export interface StartOptions {
  readonly log: Log;
  /** A snapshot's folder: the first machine goes on where that was taken. Later ones boot the plan. */
  readonly restore?: string;
  /** Nobody is at this process's terminal: a console that is for `stdio` goes only to its viewers. */
  readonly headless?: boolean;
  /** How much of a jail workers get; all of it when left out. */
  readonly sandbox?: SandboxMode;
  /** This process does nothing but run the VM, and gives up what that does not need, when this is resolved. */
  readonly confined?: Promise<void>;
  /** How this host is opened; with a check that it really runs guests when left out. */
  readonly openHost?: () => Host;
}

/**
 * A VM that this process runs. It starts at once, and again whenever its guest resets, until the guest powers off or
 * fails, or its user ends it.
 */
export class RunningVm implements VmControl, AsyncDisposable {
  readonly console: ConsoleHub;
  readonly runtime: RuntimeDir;
  /** Resolves when the guest runs for the first time. Rejects as {@linkcode outcome} does. */
  readonly started: Promise<void>;
  readonly outcome: Promise<RunOutcome>;

  readonly #plan: BootPlan;
  readonly #openHost: () => Host;
  readonly #sandbox: SandboxMode;
  readonly #confined: Promise<void> | undefined;
  readonly #restore: string | undefined;
  readonly #log: Log;
  #agent: GuestAgent | undefined;
  /** While there is a starter. */
  #paths: StarterPaths | undefined;
  readonly #events = new VmEvents();
  readonly #startedAt = new Date();
  readonly #startedTicks = performance.now();
  readonly #running = Promise.withResolvers<void>();
  /** Ends the wait for backends. */
  readonly #quitting = new AbortController();
  #state: VmState = "starting";
  #devices: readonly DeviceParts[] = [];
  #provisions: Provisions | undefined;
  /** While the VM is limited. */
  #group: Cgroup | undefined;
  /** The machine that runs; between two, and when all is over, there is none. */
  #cycle: PowerCycle | undefined;
  /** Resolves with the next machine that runs, or undefined when there will be none. */
  #nextCycle = Promise.withResolvers<PowerCycle | undefined>();
  #exits: Record<number, number> = {};
  #resets = 0;
  /** The user wants a reset. */
  #resetting = false;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #deaf: ReturnType<typeof setTimeout> | undefined;
  /** Resolves when the snapshot that is being written is, or has failed. */
  #saving: Promise<unknown> = Promise.resolve();
  /** Pausing and the like: one thing at a time. */
  #work: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly config: VmConfig,
    plan: BootPlan,
    { log, openHost, restore, sandbox = "full", confined }: StartOptions,
    runtime: RuntimeDir,
    console: ConsoleHub,
    spare: SpareThreads,
  ) {
    this.runtime = runtime;
    this.console = console;
    this.#plan = plan;
    this.#restore = restore;
    this.#sandbox = sandbox;
    this.#confined = confined;
    this.#openHost = openHost ?? (() => Host.open(true, sandbox));
    this.#log = log;
    this.outcome = this.#live(spare).then((outcome) => {
      this.#over(outcome.kind === "failed" ? outcome.reason : undefined);
      return outcome;
    }, (error) => {
      this.#over(error instanceof Error ? error.message : String(error));
      throw error;
    });
    this.outcome.then(() => this.#running.resolve(), this.#running.reject);
    this.started = this.#running.promise;
    this.started.catch(() => {});
  }

  /**
   * Takes the VM's name and starts it; what goes wrong after that is told by {@linkcode started} and
   * {@linkcode outcome}. Dispose of it in the end, to give the name back.
   *
   * @throws {MachineError} when a VM of that name runs, or the console's file cannot be opened
   */
  static start(config: VmConfig, plan: BootPlan, options: StartOptions): RunningVm {
    using undo = new DisposableStack();
    // First of all: while the rest is made ready they start.
    const spare = undo.use(new SpareThreads(config.cpus));
    const runtime = undo.use(RuntimeDir.claim(config.name));
    const { to } = config.console;
    const output = openConsoleOutput(
      options.headless && to === "stdio" ? "none" : to,
      (reason) => options.log.warn(`console output is lost from here on: ${reason}`),
    );
    undo.move();
    return new RunningVm(config, plan, options, runtime, new ConsoleHub(output), spare);
  }

  /** Everything from opening KVM to the last backend's end. */
  async #live(spare: SpareThreads): Promise<RunOutcome> {
    const { config } = this;
    using _spare = spare;
    using group = this.#enterGroup();
    this.#group = group;
    await using host = this.#openHost();
    const { device, provider } = config.console;
    using consoleSocket = device === "virtio" && provider === undefined
      ? new ConsoleSocket()
      : undefined;
    using provisions = new Provisions(config.provides, {
      vm: config.name,
      reactor: host.reactor,
      log: this.#log,
      dialer: host.starter.paths,
    });
    this.#provisions = provisions;
    const onDeviceChange: OnDeviceChange = (device, kind, detail) =>
      this.#events.add({ kind, device, detail });
    using devices = openDevices(config, {
      host,
      log: this.#log,
      runtime: this.runtime.path,
      hostConsole: consoleSocket?.guest,
      provisions,
      onDeviceChange,
      disks: this.#plan.disks,
    });
    this.#devices = devices.parts;
    this.#paths = host.starter.paths;
    this.#agent = new GuestAgent({
      ...{ runtime: this.runtime.path, dialer: host.starter.paths },
      ...{ reactor: host.reactor, log: this.#log },
    });
    const providers = providersOf(config);
    this.runtime.record({
      starter: host.starter.pid,
      images: devices.images,
      providers,
      provides: provisions.names,
      startedAt: this.#startedAt.toISOString(),
    });
    using files = new BootFiles(this.#plan, host.window);
    let source = await this.#firstSource(host) ?? { boot: files };
    await this.#confined;
    // Before threads of vCPUs keep themselves to less: one filter for all is possible only while none has its own.
    const vcpuFilter = this.#confined && confineMonitor(
      host.starter.sandbox,
      monitorFiles({
        runtime: this.runtime.path,
        images: devices.reopened,
        group: group?.files,
        meetsOthers: config.provides.length > 0 || Object.keys(providers).length > 0,
      }),
    );
    for (let first = true;; first = false) {
      const end = await this.#runOnce({
        host,
        config,
        source,
        devices: devices.parts,
        threads: spare.take(),
        vcpuFilter,
        consoleSocket,
        print: (bytes) => this.console.write(bytes),
        log: this.#log,
        onDeviceChange,
        signal: this.#quitting.signal,
        patient: !first,
      });
      if (end !== undefined) return end;
      source = { boot: files };
      this.#resets++;
      this.#log.info("the guest resets");
      this.#events.add({ kind: "reset" });
    }
  }

  /** Before there is any other process, since those are where we are. */
  #enterGroup(): Cgroup | undefined {
    const { name, memory, limits = {} } = this.config;
    const { cpu, overhead } = limits;
    if (cpu === undefined && overhead === undefined) return undefined;
    const all = overhead === undefined ? undefined : memory + overhead;
    return Cgroup.enter(`spectrum-${name}`, { cpu, memory: all });
  }

  /** The machine that was saved, if there is one to go on from. */
  async #firstSource({ window }: Host): Promise<MachineSource | undefined> {
    const dir = this.#restore;
    if (dir === undefined) return undefined;
    const { readMemory, readState } = await import("./snapshot/read_snapshot.ts");
    const saved = await readState(dir, this.config);
    return { saved, memory: await readMemory(dir, this.config, window) };
  }

  /** One power cycle; undefined when there is to be another. */
  async #runOnce(parts: CycleParts): Promise<RunOutcome | undefined> {
    let cycle: PowerCycle;
    try {
      cycle = await PowerCycle.start(parts);
    } catch (error) {
      // The user had enough while the backends started.
      if (this.#quitting.signal.aborted) return { kind: "off" };
      throw error;
    }
    let end: MachineEnd;
    try {
      if (this.#quitting.signal.aborted) cycle.machine.quit();
      // From the guest's first instruction on.
      if (this.#confined !== undefined) parts.host.starter.seal();
      this.#enter(cycle);
      end = await cycle.run();
    } finally {
      this.#leave(cycle);
      // What is being written of it is still in its memory.
      await this.#saving;
      await cycle[Symbol.asyncDispose]();
    }
    this.#log.debug("left the guest", {
      end: end.kind,
      exits: JSON.stringify(cycle.machine.exits()),
    });
    return this.#outcomeOf(end, cycle);
  }

  #enter(cycle: PowerCycle): void {
    this.#log.debug("enters the guest");
    this.#cycle = cycle;
    this.#nextCycle.resolve(cycle);
    this.console.guest = cycle;
    if (this.#state === "starting") this.#state = "running";
    this.#events.add({ kind: "started" });
    if (this.#restore !== undefined && this.#resets === 0) void this.#agent?.setClock();
    this.#running.resolve();
  }

  /** What a person does from here on is not for this machine, which is taken apart. */
  #leave(cycle: PowerCycle): void {
    this.console.guest = undefined;
    this.#cycle = undefined;
    this.#nextCycle = Promise.withResolvers();
    this.#exits = sumOf([this.#exits, cycle.machine.exits()]);
    if (this.#state === "paused") this.#state = "running";
  }

  #outcomeOf(end: MachineEnd, { panic }: PowerCycle): RunOutcome | undefined {
    const panicked = (): RunOutcome => ({
      kind: "failed",
      reason: `the guest's kernel panicked${panic.reason === undefined ? "" : `: ${panic.reason}`}`,
    });
    switch (end.kind) {
      case "quit":
        if (!this.#resetting || this.#quitting.signal.aborted) return { kind: "off" };
        this.#resetting = false;
        return undefined;
      case "power-off":
        return { kind: "off" };
      case "panic":
        return panicked();
      case "reset":
        if (panic.reason !== undefined) return panicked();
        // Whoever is to power off and reboots instead has ended, too.
        return this.#state === "stopping" ? { kind: "off" } : undefined;
      case "crash":
        return { kind: "failed", reason: end.reason };
    }
  }

  /** @param failure why the guest cannot go on, if that is how it ended */
  #over(failure?: string): void {
    clearTimeout(this.#grace);
    clearTimeout(this.#deaf);
    this.#state = "ended";
    this.#nextCycle.resolve(undefined);
    this.#events.add({ kind: "ended", detail: failure });
    this.#events.end();
  }

  info(): VmInfo {
    const { name, cpus, memory } = this.config;
    return {
      name,
      pid: Deno.pid,
      state: this.#state,
      startedAt: this.#startedAt.toISOString(),
      uptimeSeconds: (performance.now() - this.#startedTicks) / 1000,
      cpus,
      memoryBytes: memory,
      kernel: this.#plan.kernel,
      cmdline: this.#plan.cmdline,
      resets: this.#resets,
      devices: this.#cycle?.devices ??
        this.#devices.map(describeDevice),
      provides: this.#provisions?.info ?? [],
      runtimeDir: this.runtime.path,
      sandbox: this.#sandbox,
      ...(this.#group === undefined ? {} : { limits: this.#group.info }),
    };
  }

  exits(): Record<string, number> {
    const sum = sumOf([this.#exits, this.#cycle?.machine.exits() ?? {}]);
    return Object.fromEntries(
      Object.entries(sum).map(([reason, count]) => [exitReasonName(Number(reason)), count]),
    );
  }

  pause(): Promise<void> {
    return this.#serially(async () => {
      if (this.#state === "paused") return;
      for (;;) {
        this.#require("pause", ["running"]);
        // Between two machines it is the next that pauses.
        const cycle = await this.#nextCycle.promise;
        if (cycle === undefined) continue;
        await cycle.machine.pause();
        // It may have ended instead, and what comes next is known a moment later.
        if (cycle !== this.#cycle || cycle.machine.ended) {
          await new Promise((resolve) => setTimeout(resolve));
          continue;
        }
        // Somebody may have stopped it meanwhile, and a guest that rests hears nothing of that.
        if (this.#state !== "running") void cycle.machine.run();
        this.#require("pause", ["running"]);
        this.#state = "paused";
        this.#events.add({ kind: "paused" });
        return;
      }
    });
  }

  resume(): Promise<void> {
    return this.#serially(() => {
      if (this.#state !== "paused") this.#require("resume", ["running", "stopping"]);
      else {
        this.#state = "running";
        this.#goOn();
      }
      return Promise.resolve();
    });
  }

  #goOn(): void {
    void this.#cycle?.machine.run();
    void this.#agent?.setClock();
    this.#events.add({ kind: "resumed" });
  }

  powerButton(): void {
    this.#require("press the power button of", ["running", "paused", "stopping"]);
    this.#cycle?.machine.platform.power.pressPowerButton();
    // A guest of ours that only provides has nobody who listens to its power button.
    this.#provisions?.powerOff();
    this.#events.add({ kind: "power-button" });
  }

  async stop(graceMs: number): Promise<RunOutcome> {
    if (this.#cycle === undefined) this.quit();
    else if (this.#state !== "stopping" && this.#state !== "ended") {
      const paused = this.#state === "paused";
      this.#state = "stopping";
      this.#grace = setTimeout(() => this.quit(), graceMs);
      const deafMs = Math.min(DEAF_TO_BUTTON_MS, graceMs / 3);
      this.#deaf = setTimeout(() => void this.#agent?.powerOff(), deafMs);
      this.powerButton();
      if (paused) this.#goOn();
    }
    return await this.outcome;
  }

  quit(): void {
    if (this.#state === "ended") return;
    this.#state = "stopping";
    this.#quitting.abort();
    this.#cycle?.machine.quit();
  }

  reset(): void {
    this.#require("reset", ["running", "paused"]);
    this.#resetting = true;
    this.#cycle?.machine.quit();
  }

  async restartDevice(name: string, patienceMs: number): Promise<void> {
    if (this.#cycle === undefined) {
      throw new VmStateError(
        this.#state,
        `Cannot restart a device of a VM whose machine does not run (it is ${this.#state}).`,
      );
    }
    await this.#cycle.restartDevice(name, patienceMs);
  }

  snapshot(dir: string): Promise<void> {
    return this.#serially(async () => {
      const cycle = this.#cycle;
      const paths = this.#paths;
      if (this.#state !== "paused" || cycle === undefined || paths === undefined) {
        const hint = this.#state === "running" ? " Pause it first." : "";
        throw new VmStateError(
          this.#state,
          `Cannot take a snapshot of a VM that is ${this.#state}.${hint}`,
        );
      }
      if (this.#plan.disks?.some(({ disposable }) => disposable)) {
        throw new VmStateError(
          this.#state,
          "Cannot take a snapshot of a VM that is disposable: what it has written ends with it.",
        );
      }
      const lost = this.#devices.find(({ kind }) => kind.diesWithBackend);
      if (lost !== undefined) {
        throw new VmStateError(
          this.#state,
          `Cannot take a snapshot of a VM that has the device ${lost.name}: what its guest and the host have open with ` +
            "each other cannot be saved.",
        );
      }
      const saved = this.#save(cycle, dir, paths);
      this.#saving = saved.catch(() => {});
      await saved;
      this.#events.add({ kind: "snapshot", detail: dir });
    });
  }

  async #save(cycle: PowerCycle, dir: string, paths: StarterPaths): Promise<void> {
    const { writeSnapshot } = await import("./snapshot/write_snapshot.ts");
    const { machine } = cycle;
    await cycle.rest();
    try {
      await writeSnapshot(dir, {
        config: this.config,
        plan: this.#plan,
        memory: machine.memory,
        state: machine.save(),
      }, paths);
    } finally {
      await cycle.goOn();
    }
  }

  events(signal?: AbortSignal): AsyncIterable<VmEvent> {
    return this.#events.listen(signal);
  }

  #require(operation: string, states: readonly VmState[]): void {
    const state = this.#state;
    if (!states.includes(state)) {
      throw new VmStateError(state, `Cannot ${operation} a VM that is ${state}.`);
    }
  }

  /** One at a time, in order. */
  #serially<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#work.then(action);
    this.#work = done.catch(() => {});
    return done;
  }

  /** Ends the VM at once, if it runs, and gives its name back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.quit();
    await this.outcome.catch(() => {});
    this.console[Symbol.dispose]();
    this.runtime[Symbol.dispose]();
  }
}

function sumOf(counts: readonly Record<number, number>[]): Record<number, number> {
  const sum: Record<number, number> = {};
  for (const count of counts) {
    for (const [reason, n] of Object.entries(count)) {
      sum[Number(reason)] = (sum[Number(reason)] ?? 0) + n;
    }
  }
  return sum;
}
