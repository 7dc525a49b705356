import type { SharedState } from "../bus/mod.ts";
import {
  type ClockState,
  type CpuidEntry,
  GuestClock,
  saveChips,
  saveVcpu,
  tscKhz,
  type Vcpu,
  type Vm,
  xsaveSize,
} from "../kvm/mod.ts";
import type { MachineMemory } from "../memory/mod.ts";
import type { EventFd, Reactor, Window } from "../os/mod.ts";
import type { PlatformControl } from "../pci/mod.ts";
import { Outcome, type VcpuThread } from "../vcpu/mod.ts";
import { describeOutcome, type MachineEnd } from "./describe_outcome.ts";
import { layoutOf, type MachineState } from "./machine_state.ts";
import { MachineError } from "./outcome.ts";

/** A vCPU comes out of the guest at once, unless it waits for room for what its guest prints. In milliseconds. */
const PAUSE_MS = 5000;

/** What a machine consists of. */
export interface MachineParts {
  readonly window: Window;
  readonly vm: Vm;
  readonly vcpus: readonly Vcpu[];
  readonly cpuid: readonly (readonly CpuidEntry[])[];
  /** The MSRs that KVM keeps for a guest. */
  readonly msrIndices: readonly number[];
  readonly memory: MachineMemory;
  readonly state: SharedState;
  /** Bytes of the state that devices have. */
  readonly stateUsed: number;
  readonly platform: PlatformControl;
  readonly threads: readonly VcpuThread[];
  readonly attention: EventFd;
  /** Of a machine that was saved. */
  readonly stoppedAt?: ClockState;
}

/** One power cycle of a VM: from a kernel in memory to the outcome of its vCPUs. */
export class Machine implements Disposable {
  readonly #parts: MachineParts;
  readonly #owned: DisposableStack;
  readonly #clock: GuestClock;
  /** What the clocks showed when the vCPUs came to rest; they go on from there. */
  #stoppedAt: ClockState | undefined;
  readonly #ended = Promise.withResolvers<MachineEnd>();
  #allParked = Promise.withResolvers<void>();

  private constructor(parts: MachineParts, owned: DisposableStack) {
    this.#parts = parts;
    this.#owned = owned;
    this.#clock = new GuestClock(parts.window, parts.vm, parts.vcpus);
    this.#stoppedAt = parts.stoppedAt;
  }

  get memory(): MachineMemory {
    return this.#parts.memory;
  }

  /** The control thread's side of the devices. */
  get platform(): PlatformControl {
    return this.#parts.platform;
  }

  get #threads(): readonly VcpuThread[] {
    return this.#parts.threads;
  }

  /** Puts together what {@linkcode assembleMachine} has made; from here on the machine owns it. */
  static own(parts: MachineParts, owned: DisposableStack, reactor: Reactor): Machine {
    const machine = new Machine(parts, owned);
    owned.defer(reactor.add(parts.attention.fd, () => machine.#onAttention()));
    return machine;
  }

  /** Lets the vCPUs run; resolves when the machine has ended and no vCPU is in the guest any more. */
  run(): Promise<MachineEnd> {
    if (this.#stoppedAt !== undefined) this.#clock.set(this.#stoppedAt);
    this.#stoppedAt = undefined;
    for (const thread of this.#threads) thread.run();
    return this.#ended.promise;
  }

  /**
   * Takes all vCPUs out of the guest until {@linkcode run}; the guest's clocks stand still meanwhile. Resolves when the
   * vCPUs rest, or the machine has ended instead.
   *
   * @throws {MachineError} when one does not come out in time; then all of them go on
   */
  async pause(): Promise<void> {
    this.#allParked = Promise.withResolvers();
    for (const thread of this.#threads) thread.park();
    const timer = setTimeout(() => {
      this.run();
      this.#allParked.reject(
        new MachineError(
          "internal",
          `A vCPU did not come out of the guest within ${PAUSE_MS / 1000} s: ` +
            "perhaps nobody reads what the guest prints to its console. The guest goes on.",
        ),
      );
    }, PAUSE_MS);
    const ended = this.#ended.promise.then(() => {}, () => {});
    try {
      this.#lookForParked();
      await Promise.race([this.#allParked.promise, ended]);
      if (!this.ended) this.#stoppedAt ??= this.#clock.read();
    } finally {
      clearTimeout(timer);
    }
  }

  /** All of the machine but its memory. It must be paused, and its backends at rest. */
  save(): MachineState {
    const { vm, vcpus, cpuid, msrIndices, state, stateUsed, platform } = this.#parts;
    if (this.#stoppedAt === undefined) throw new Error("A machine that runs cannot be saved");
    const xsave = xsaveSize(vm);
    return {
      clocks: this.#stoppedAt,
      tscKhz: tscKhz(vcpus[0]),
      cpuid,
      vcpus: vcpus.map((vcpu) => saveVcpu(vcpu, msrIndices, xsave)),
      chips: saveChips(vm),
      devices: { layout: layoutOf(platform.description), bytes: state.bytes.slice(0, stateUsed) },
    };
  }

  /** Takes all vCPUs out of the guest for good; {@linkcode run} then resolves. */
  quit(): void {
    for (const thread of this.#threads) thread.quit();
  }

  /** No vCPU will run any more, or one has ended what all of them do. */
  get ended(): boolean {
    return this.#threads.some((thread) => thread.leaving);
  }

  /** Exits of all vCPUs so far, by KVM exit reason. */
  exits(): Record<number, number> {
    const sum: Record<number, number> = {};
    for (const { control } of this.#threads) {
      for (const [reason, count] of Object.entries(control.exits())) {
        sum[Number(reason)] = (sum[Number(reason)] ?? 0) + count;
      }
    }
    return sum;
  }

  #lookForParked(): void {
    if (this.#threads.every((thread) => thread.parked)) this.#allParked.resolve();
  }

  /** A vCPU rests, or its thread ended: then the others follow, and when all are gone the machine has ended. */
  #onAttention(): void {
    this.#parts.attention.drain();
    this.#lookForParked();
    if (!this.ended) return;
    this.quit();
    if (this.#threads.every((thread) => thread.leaving)) this.#end();
  }

  /** All threads leave: the last step of each is a moment away, and nobody tells of it. */
  #end(): void {
    if (!this.#threads.every((thread) => thread.gone)) {
      setTimeout(() => this.#end());
      return;
    }
    const first = this.#threads.find(({ control }) => control.outcome !== Outcome.None);
    if (first === undefined) this.#ended.resolve({ kind: "quit" });
    else if (first.control.outcome === Outcome.ThreadFailed) {
      void first.failed.then(this.#ended.reject);
    } else this.#ended.resolve(describeOutcome(first.control.outcome, first.control.outcomeDetail));
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
