import {
  type Borrowed,
  closeOwned,
  Fd,
  ioctlFd,
  type Owned,
  type SharedFd,
  type Window,
} from "../os/mod.ts";
import { encodeRoutes, type GsiRoute } from "./gsi_route.ts";
import { described, perform } from "./perform.ts";
import { VmRequest } from "./requests.ts";
import {
  Ioeventfd,
  IoeventfdFlag,
  Irqfd,
  IRQFD_DEASSIGN,
  IrqLevel,
  MEMORY_READONLY,
  Msi,
  PIT_SPEAKER_DUMMY,
  PitConfig,
  UserMemoryRegion,
} from "./structures.ts";
import { Vcpu } from "./vcpu.ts";

/** A memory slot: guest-physical memory backed by memory of this process. */
export interface MemorySlot {
  slot: number;
  guestAddress: number;
  /** In bytes, a multiple of the page size; 0 takes the slot away. */
  size: number;
  /** Address in this process: Window.base + window offset. */
  userAddress: number;
  readonly?: boolean;
}

/** A guest write that becomes an event instead of an exit. */
export interface IoEvent {
  /** Guest-physical address, or a port when `pio`. */
  address: number;
  /** 1, 2, 4, 8, or 0 for any length (without `datamatch`). */
  length: number;
  pio?: boolean;
  /** Only writes of this value. */
  datamatch?: number;
}

/**
 * A virtual machine. All methods but createVcpu may be called from any thread that borrows it.
 *
 * @throws OsError from every method
 */
export class Vm implements Disposable {
  readonly #level = new Uint8Array(IrqLevel.size);
  readonly #levelView = IrqLevel.at(new DataView(this.#level.buffer));

  private constructor(
    readonly fd: Owned<Fd> | Borrowed<Fd>,
    readonly vcpuMmapSize: number | undefined,
  ) {}

  /** Takes over the descriptor of a new VM. Called by Kvm.createVm. */
  static own(fd: Owned<Fd>, vcpuMmapSize: number): Vm {
    return new Vm(fd, vcpuMmapSize);
  }

  /** A handle in this thread on a VM that another thread owns; disposing it does nothing. */
  static borrow(token: SharedFd): Vm {
    return new Vm(Fd.borrow(token), undefined);
  }

  /** What another thread needs for {@linkcode borrow}. */
  share(): SharedFd {
    return this.fd.share();
  }

  /** KVM_CHECK_EXTENSION: 0 when missing, otherwise 1 or a number. */
  checkExtension(capability: number): number {
    return perform(this.fd, VmRequest.CheckExtension, capability, "ask", "the VM");
  }

  /** Three pages for KVM on Intel hosts, outside of RAM; before the first vCPU. */
  setTssAddress(address: number): void {
    perform(this.fd, VmRequest.SetTssAddress, address, "set the TSS address of", "the VM");
  }

  /** One page for KVM on Intel hosts, outside of RAM; before the first vCPU. */
  setIdentityMapAddress(address: number): void {
    const data = new Uint8Array(new BigUint64Array([BigInt(address)]).buffer);
    perform(this.fd, VmRequest.SetIdentityMapAddress, data, "set the identity map of", "the VM");
  }

  /** PICs, IOAPIC and local APICs in the kernel; before the first vCPU. */
  createIrqchip(): void {
    perform(this.fd, VmRequest.CreateIrqchip, 0, "create", "the interrupt controllers");
  }

  /** The 8254 timer in the kernel, wired to GSI 0; after createIrqchip. */
  createPit(): void {
    const config = PitConfig.encode({ flags: PIT_SPEAKER_DUMMY });
    perform(this.fd, VmRequest.CreatePit, config, "create", "the PIT");
  }

  /** Adds, moves or (size 0) removes a memory slot. */
  setMemoryRegion(slot: MemorySlot): void {
    const data = UserMemoryRegion.encode({
      slot: slot.slot,
      flags: slot.readonly ? MEMORY_READONLY : 0,
      guestAddress: slot.guestAddress,
      size: slot.size,
      userAddress: slot.userAddress,
    });
    perform(this.fd, VmRequest.SetUserMemoryRegion, data, "set", `memory slot ${slot.slot}`);
  }

  /** A new vCPU, whose kvm_run is mapped into the window. Its APIC id is its id. */
  createVcpu(id: number, window: Window): Vcpu {
    const { vcpuMmapSize } = this;
    if (vcpuMmapSize === undefined) throw new Error("Only the owner of a VM creates its vCPUs");
    const fd = described(() => ioctlFd(this.fd, VmRequest.CreateVcpu, id), "create", `vCPU ${id}`);
    return Vcpu.own(id, fd, window, vcpuMmapSize);
  }

  /** Drives an interrupt line of the in-kernel controllers: 1 asserts it. */
  irqLine(gsi: number, level: 0 | 1): void {
    this.#levelView.gsi = gsi;
    this.#levelView.level = level;
    perform(this.fd, VmRequest.IrqLine, this.#level, "drive interrupt line", String(gsi));
  }

  /** Lets an event raise a GSI (an edge per signal), or no longer. */
  irqfd(event: Fd, gsi: number, assign: boolean): void {
    const data = Irqfd.encode({
      // deno-lint-ignore spectrum/no-raw-descriptor -- KVM is told of descriptors by number, inside a structure
      descriptor: event.share().sharedDescriptor,
      gsi,
      flags: assign ? 0 : IRQFD_DEASSIGN,
    });
    const operation = assign ? "attach an event to" : "detach an event from";
    perform(this.fd, VmRequest.Irqfd, data, operation, `GSI ${gsi}`);
  }

  /** Lets guest writes signal an event, or no longer; to detach give the same values. */
  ioeventfd(io: IoEvent, event: Fd, assign: boolean): void {
    const data = Ioeventfd.encode({
      datamatch: io.datamatch ?? 0,
      address: io.address,
      length: io.length,
      // deno-lint-ignore spectrum/no-raw-descriptor -- KVM is told of descriptors by number, inside a structure
      descriptor: event.share().sharedDescriptor,
      flags: (io.datamatch === undefined ? 0 : IoeventfdFlag.Datamatch) |
        (io.pio ? IoeventfdFlag.Pio : 0) | (assign ? 0 : IoeventfdFlag.Deassign),
    });
    const operation = assign ? "attach an event to" : "detach an event from";
    const subject = `${io.pio ? "port" : "address"} 0x${io.address.toString(16)}`;
    perform(this.fd, VmRequest.Ioeventfd, data, operation, subject);
  }

  /** Replaces all routes; begin with defaultGsiRoutes(). */
  setGsiRouting(routes: readonly GsiRoute[]): void {
    perform(this.fd, VmRequest.SetGsiRouting, encodeRoutes(routes), "route", "interrupts");
  }

  /** Delivers one MSI without a route; false when the guest blocks it. */
  signalMsi(addressLow: number, addressHigh: number, data: number): boolean {
    const msi = Msi.encode({ addressLow, addressHigh, data });
    return perform(this.fd, VmRequest.SignalMsi, msi, "deliver", "an MSI") > 0;
  }

  [Symbol.dispose](): void {
    closeOwned(this.fd);
  }
}
