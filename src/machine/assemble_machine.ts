import {
  applyEntry,
  type Entry,
  GENERATION_GSI,
  GENERATION_ID_ADDRESS,
  IDENTITY_MAP_ADDRESS,
  loadKernel,
  pciWindows,
  TSS_ADDRESS,
  writeAcpi,
} from "../boot/mod.ts";
import { BadState, SharedState, StateArena } from "../bus/mod.ts";
import { formatSize, type VmConfig } from "../config/mod.ts";
import {
  Capability,
  type CpuidEntry,
  GuestClock,
  loadChips,
  loadVcpu,
  physicalBits,
  resetVcpu,
  tscKhz,
  type Vcpu,
  vcpuCpuid,
  type Vm,
  xsaveSize,
} from "../kvm/mod.ts";
import { MachineMemory } from "../memory/mod.ts";
import { EventFd, OsError } from "../os/mod.ts";
import { createPlatform, WindowExhausted } from "../pci/mod.ts";
import { VcpuControl, VcpuThread } from "../vcpu/mod.ts";
import type { BootFiles } from "./boot_files.ts";
import type { DeviceParts } from "./device_parts.ts";
import type { Host } from "./host.ts";
import { Machine } from "./machine.ts";
import { layoutOf, type MachineState } from "./machine_state.ts";
import { MachineError } from "./outcome.ts";
import { checkProcessor } from "./snapshot/check_host.ts";

/** Room for the state of all in-monitor devices. */
const STATE_SIZE = 2 ** 20;

/** The control thread runs no vCPU whose machine a device could end. */
const NO_EVENTS = { raise() {}, stopping: false };

/** Where a machine begins: with a kernel, or where another was saved. */
export type MachineSource =
  | { readonly boot: BootFiles }
  | {
    /** As it was; the machine's from here on. */
    readonly memory: MachineMemory;
    readonly saved: MachineState;
  };

/** What is wanted of a machine. */
export interface MachineOptions {
  readonly host: Host;
  readonly config: VmConfig;
  readonly source: MachineSource;
  readonly devices: readonly DeviceParts[];
  /** Threads for its vCPUs; they end with it. */
  readonly threads: readonly Worker[];
  /** What those may do once they run, as a filter of system calls; anything when left out. */
  readonly vcpuFilter?: Uint8Array<ArrayBuffer>;
}

/**
 * Builds a machine; it does not run yet.
 *
 * @throws {KernelError} when the kernel or initrd cannot be used
 * @throws {HostError} when the host cannot run such a machine
 * @throws {MachineError} when what was saved does not fit
 */
export function assembleMachine(options: MachineOptions): Machine {
  const { host, config, source, devices, threads: spare } = options;
  using undo = new DisposableStack();
  undo.defer(() => spare.forEach((worker) => worker.terminate()));
  const { kvm, window, reactor } = host;
  const saved = "saved" in source ? source.saved : undefined;
  const memory = undo.use(
    "saved" in source ? source.memory : MachineMemory.create(window, config.memory),
  );
  kvm.requireVcpus(config.cpus);
  const supported = kvm.supportedCpuid();
  const msrIndices = kvm.msrIndices();
  const bits = physicalBits(supported);
  const windows = pciWindows(memory.guest, bits);
  const entry = "boot" in source ? boot(options, memory, source.boot, windows) : undefined;

  const vm = undo.use(kvm.createVm());
  const possible = cpuidOf(host, supported, config.cpus);
  const cpuid = saved?.cpuid ?? possible;
  const vcpus = createVcpus(host, vm, memory, config.cpus);
  for (const vcpu of vcpus) undo.use(vcpu);

  const arena = new StateArena(new SharedState(new SharedArrayBuffer(STATE_SIZE)));
  const attention = undo.use(EventFd.create());
  const plan = {
    ram: memory.regions,
    windows,
    virtio: devices.map(({ name, kind, maxQueues, sharedMemory }) => (
      { ...kind, name, maxQueues, sharedMemory }
    )),
    doorbells: devices.find(({ doorbells }) => doorbells !== undefined)?.doorbells?.slots,
  };
  const platform = undo.use(
    placed(bits, () => createPlatform(plan, { arena, vm, events: NO_EVENTS })),
  );
  const stateUsed = arena.used;
  if (saved === undefined) {
    reset(vcpus, cpuid, msrIndices, entry);
  } else {
    checkProcessor(
      { cpuid: saved.cpuid[0], tscKhz: saved.tscKhz },
      { cpuid: possible[0], tscKhz: tscKhz(vcpus[0]) },
    );
    if (layoutOf(platform.description) !== saved.devices.layout) {
      throw new MachineError(
        "usage",
        "The snapshot is of a machine with other devices. Give it the same disks (as many, with as many queues), " +
          "rng and console as it had, on a host that gives guests as many address bits.",
      );
    }
    const { bytes } = saved.devices;
    if (bytes.length !== stateUsed) {
      throw new MachineError(
        "usage",
        `The machine was saved with ${bytes.length} bytes of devices.`,
      );
    }
    arena.state.bytes.set(bytes);
    try {
      load(host, vm, vcpus, saved);
      platform.platform.restored();
    } catch (error) {
      // What KVM or a device refuses is in the snapshot.
      if (!(error instanceof OsError || error instanceof BadState)) throw error;
      throw new MachineError("usage", `The snapshot cannot be restored: ${error.message}.`);
    }
    newGeneration(memory);
    // An edge: kernels that know the device look at the number then.
    vm.irqLine(GENERATION_GSI, 1);
    vm.irqLine(GENERATION_GSI, 0);
  }
  const threads = vcpus.map((vcpu, i) => {
    const control = VcpuControl.allocate(arena);
    return VcpuThread.start(spare[i], vcpu, new VcpuControl(arena.state, control), {
      state: arena.state.buffer,
      window: window.token,
      vm: vm.share(),
      control,
      platform: platform.description,
      attention: attention.fd.share(),
      filter: options.vcpuFilter,
    });
  });
  const { state } = arena;
  const parts = {
    window,
    vm,
    vcpus,
    cpuid,
    msrIndices,
    memory,
    state,
    stateUsed,
    platform,
    threads,
    attention,
  };
  return Machine.own({ ...parts, stoppedAt: saved?.clocks }, undo.move(), reactor);
}

/** Says it in a user's words when there is no room for what devices show to the guest. */
function placed<T>(bits: number, create: () => T): T {
  try {
    return create();
  } catch (error) {
    if (!(error instanceof WindowExhausted)) throw error;
    throw new MachineError(
      "usage",
      `The guest has no room for ${
        formatSize(error.size)
      } of shared memory: its processor has ${bits} address bits on ` +
        "this host. Make wl.region smaller.",
    );
  }
}

/** Puts kernel and tables into memory. */
function boot(
  { config }: MachineOptions,
  memory: MachineMemory,
  files: BootFiles,
  windows: ReturnType<typeof pciWindows>,
): Entry {
  const rsdp = writeAcpi(memory.guest, { cpus: config.cpus, pciWindows: windows });
  newGeneration(memory);
  const { kernel, initrd, cmdline } = files;
  return loadKernel(memory.guest, kernel, { cmdline, initrd, rsdp });
}

/** Another number for each time that a guest's memory begins to live. */
function newGeneration(memory: MachineMemory): void {
  memory.guest.write(GENERATION_ID_ADDRESS, crypto.getRandomValues(new Uint8Array(16)));
}

/** Gives a VM its memory, interrupt controllers and vCPUs, in the order that KVM asks for. */
function createVcpus({ window }: Host, vm: Vm, memory: MachineMemory, cpus: number): Vcpu[] {
  vm.setTssAddress(TSS_ADDRESS);
  vm.setIdentityMapAddress(IDENTITY_MAP_ADDRESS);
  for (const [slot, { guestAddress, size, windowOffset }] of memory.regions.entries()) {
    vm.setMemoryRegion({ slot, guestAddress, size, userAddress: window.base + windowOffset });
  }
  vm.createIrqchip();
  vm.createPit();
  return Array.from({ length: cpus }, (_, id) => vm.createVcpu(id, window));
}

/** What the vCPUs of a machine on this host say of themselves. */
function cpuidOf(
  { kvm }: Host,
  supported: readonly CpuidEntry[],
  cpus: number,
): CpuidEntry[][] {
  const tscDeadline = kvm.checkExtension(Capability.TscDeadlineTimer) > 0;
  return Array.from({ length: cpus }, (_, id) => vcpuCpuid(supported, { id, cpus, tscDeadline }));
}

function reset(
  vcpus: readonly Vcpu[],
  cpuid: readonly (readonly CpuidEntry[])[],
  msrIndices: readonly number[],
  entry: Entry | undefined,
): void {
  for (const [i, vcpu] of vcpus.entries()) {
    resetVcpu(vcpu, { cpuid: cpuid[i], msrIndices });
    if (i === 0 && entry !== undefined) applyEntry(vcpu, entry);
  }
}

/** The counters first, since alarms are set by them; the chips last, since what waits in them is delivered at once. */
function load({ window }: Host, vm: Vm, vcpus: readonly Vcpu[], saved: MachineState): void {
  // KVM takes as many bytes as the processor has, however many are there.
  const size = xsaveSize(vm);
  const odd = saved.vcpus.find(({ xsave }) => xsave.length !== size);
  if (odd !== undefined) {
    throw new MachineError(
      "host",
      `The snapshot's processor has ${odd.xsave.length} bytes of vector registers, this host's ${size}.`,
    );
  }
  for (const [i, vcpu] of vcpus.entries()) vcpu.setCpuid(saved.cpuid[i]);
  new GuestClock(window, vm, vcpus).set(saved.clocks);
  for (const [i, vcpu] of vcpus.entries()) loadVcpu(vcpu, saved.vcpus[i]);
  loadChips(vm, saved.chips);
}
