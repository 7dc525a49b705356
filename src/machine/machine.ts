import {
  applyEntry,
  type Entry,
  IDENTITY_MAP_ADDRESS,
  loadKernel,
  openBootFile,
  pciWindows,
  TSS_ADDRESS,
  writeAcpi,
} from "../boot/mod.ts";
import { SharedState, StateArena } from "../bus/mod.ts";
import type { VmConfig } from "../config/mod.ts";
import { Capability, physicalBits, resetVcpu, type Vcpu, vcpuCpuid, type Vm } from "../kvm/mod.ts";
import { MachineMemory } from "../memory/mod.ts";
import { EventFd } from "../os/mod.ts";
import { createPlatform, type PlatformControl } from "../pci/mod.ts";
import { Outcome, VcpuControl, VcpuThread } from "../vcpu/mod.ts";
import type { BootPlan } from "./boot_plan.ts";
import { describeOutcome, type MachineEnd } from "./describe_outcome.ts";
import type { DeviceParts } from "./device_supervisor.ts";
import type { Host } from "./host.ts";
import { MachineError } from "./outcome.ts";

/** Room for the state of all in-monitor devices. */
const STATE_SIZE = 2 ** 20;

/** A vCPU comes out of the guest at once, unless it waits for room for what its guest prints. In milliseconds. */
const PAUSE_MS = 5000;

/** The control thread runs no vCPU whose machine a device could end. */
const NO_EVENTS = { raise() {}, stopping: false };

/** One power cycle of a VM: from a kernel in memory to the outcome of its vCPUs. */
export class Machine implements Disposable {
  readonly #owned: DisposableStack;
  readonly #threads: VcpuThread[];
  readonly #attention: EventFd;
  readonly #ended = Promise.withResolvers<MachineEnd>();
  #allParked = Promise.withResolvers<void>();
  readonly memory: MachineMemory;
  /** The control thread's side of the devices. */
  readonly platform: PlatformControl;

  private constructor(
    owned: DisposableStack,
    threads: VcpuThread[],
    attention: EventFd,
    memory: MachineMemory,
    platform: PlatformControl,
  ) {
    this.#owned = owned;
    this.#threads = threads;
    this.#attention = attention;
    this.memory = memory;
    this.platform = platform;
  }

  /**
   * Builds a machine with a kernel in its memory; it does not run yet.
   *
   * @param spare threads for its vCPUs; they end with it
   * @throws {KernelError} when the kernel or initrd cannot be used
   * @throws {HostError} when the host cannot run such a machine
   */
  static assemble(
    host: Host,
    config: VmConfig,
    plan: BootPlan,
    devices: readonly DeviceParts[],
    spare: readonly Worker[],
  ): Machine {
    using undo = new DisposableStack();
    undo.defer(() => spare.forEach((worker) => worker.terminate()));
    const { kvm, window, reactor } = host;
    kvm.requireVcpus(config.cpus);

    const memory = undo.use(MachineMemory.create(window, config.memory));
    const cpuid = kvm.supportedCpuid();
    const windows = pciWindows(memory.guest, physicalBits(cpuid));
    const rsdp = writeAcpi(memory.guest, { cpus: config.cpus, pciWindows: windows });
    const entry = load(host, memory, plan, rsdp);

    const vm = undo.use(kvm.createVm());
    const vcpus = createVcpus(host, vm, memory, entry, config.cpus);
    for (const vcpu of vcpus) undo.use(vcpu);

    const arena = new StateArena(new SharedState(new SharedArrayBuffer(STATE_SIZE)));
    const attention = undo.use(EventFd.create());
    const platform = undo.use(createPlatform({
      ram: memory.regions,
      windows,
      virtio: devices.map(({ name, kind, maxQueues }) => ({ ...kind, name, maxQueues })),
    }, { arena, vm, events: NO_EVENTS }));
    const threads = vcpus.map((vcpu, i) => {
      const control = VcpuControl.allocate(arena);
      return VcpuThread.start(spare[i], vcpu, new VcpuControl(arena.state, control), {
        state: arena.state.buffer,
        window: window.token,
        vm: vm.share(),
        control,
        platform: platform.description,
        attention: attention.fd.share(),
      });
    });

    const machine = new Machine(undo.move(), threads, attention, memory, platform);
    machine.#owned.defer(reactor.add(attention.fd, () => machine.#onAttention()));
    return machine;
  }

  /** Lets the vCPUs run; resolves when the machine has ended and no vCPU is in the guest any more. */
  run(): Promise<MachineEnd> {
    for (const thread of this.#threads) thread.run();
    return this.#ended.promise;
  }

  /**
   * Takes all vCPUs out of the guest until {@linkcode run}. Resolves when they rest, or the machine has ended instead.
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
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes all vCPUs out of the guest for good; {@linkcode run} then resolves. */
  quit(): void {
    for (const thread of this.#threads) thread.quit();
  }

  /** No vCPU will run any more, or one has ended what all of them do. */
  get ended(): boolean {
    return this.#threads.some((thread) => thread.gone);
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
    this.#attention.drain();
    this.#lookForParked();
    if (!this.#threads.some((thread) => thread.gone)) return;
    this.quit();
    if (!this.#threads.every((thread) => thread.gone)) return;
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

function load({ window }: Host, memory: MachineMemory, plan: BootPlan, rsdp: number): Entry {
  using kernel = openBootFile(plan.kernel, window);
  using initrd = plan.initrd === undefined
    ? undefined
    : openBootFile(plan.initrd, window, "initrd");
  return loadKernel(memory.guest, kernel, { cmdline: plan.cmdline, initrd, rsdp });
}

/** Gives a VM its memory, interrupt controllers and vCPUs, in the order that KVM asks for. */
function createVcpus(
  { kvm, window }: Host,
  vm: Vm,
  memory: MachineMemory,
  entry: Entry,
  cpus: number,
): Vcpu[] {
  vm.setTssAddress(TSS_ADDRESS);
  vm.setIdentityMapAddress(IDENTITY_MAP_ADDRESS);
  for (const [slot, { guestAddress, size, windowOffset }] of memory.regions.entries()) {
    vm.setMemoryRegion({ slot, guestAddress, size, userAddress: window.base + windowOffset });
  }
  vm.createIrqchip();
  vm.createPit();
  const supported = kvm.supportedCpuid();
  const msrIndices = kvm.msrIndices();
  const tscDeadline = kvm.checkExtension(Capability.TscDeadlineTimer) > 0;
  return Array.from({ length: cpus }, (_, id) => {
    const vcpu = vm.createVcpu(id, window);
    resetVcpu(vcpu, { cpuid: vcpuCpuid(supported, { id, cpus, tscDeadline }), msrIndices });
    if (id === 0) applyEntry(vcpu, entry);
    return vcpu;
  });
}
