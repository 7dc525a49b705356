import { struct, u32, u64, u64big } from "../codec/mod.ts";
import { ioctl, ioctlAt, ioctlRaw, OsError, PAGE_SIZE, type Window } from "../os/mod.ts";
import { perform } from "./perform.ts";
import { VcpuRequest, VmRequest } from "./requests.ts";
import type { Vcpu } from "./vcpu.ts";
import type { Vm } from "./vm.ts";

/** struct kvm_clock_data; the fields behind the flags matter only with flags that we do not set. */
const ClockData = struct({
  clock: u64big,
  flags: u32,
  padding: u32,
  realtime: u64big,
  hostTsc: u64big,
  more: u64big,
  andMore: u64big,
});
/** struct kvm_device_attr, and the value that it points to. */
const Attribute = struct({ flags: u32, group: u32, attribute: u64, address: u64, value: u64big });
/** KVM_VCPU_TSC_CTRL and its KVM_VCPU_TSC_OFFSET; Linux 5.16. */
const TSC_CONTROL = 0;
const TSC_OFFSET = 0;
/** IA32_TIME_STAMP_COUNTER */
export const TSC_MSR = 0x10;

/** The clocks of a guest at one moment, while none of its vCPUs runs. */
export interface ClockState {
  /** kvmclock: nanoseconds. */
  readonly clock: bigint;
  /** Each vCPU's time-stamp counter. */
  readonly tsc: readonly bigint[];
  /** What each vCPU's counter is ahead of the host's, modulo 2^64; undefined where KVM does not tell. */
  readonly tscOffsets?: readonly bigint[];
}

/**
 * Stops and sets the clocks by which a guest tells the time that has passed: kvmclock and the time-stamp counters. KVM
 * lets both run on whether a vCPU runs or not.
 */
export class GuestClock {
  readonly #window: Window;
  readonly #vm: Vm;
  readonly #vcpus: readonly Vcpu[];

  constructor(window: Window, vm: Vm, vcpus: readonly Vcpu[]) {
    this.#window = window;
    this.#vm = vm;
    this.#vcpus = vcpus;
  }

  /** What the clocks show. No vCPU may be in the guest. */
  read(): ClockState {
    const clock = new Uint8Array(ClockData.size);
    perform(this.#vm.fd, VmRequest.GetClock, clock, "read", "the guest's clock");
    const tsc = this.#vcpus.map((vcpu) => tscOf(vcpu));
    const offsets = this.#vcpus.map((vcpu) => this.#offset(vcpu));
    return {
      clock: ClockData.decode(clock).clock,
      tsc,
      ...(offsets.every((offset) => offset !== undefined) ? { tscOffsets: offsets } : {}),
    };
  }

  /**
   * Sets the clocks to what they showed, on the vCPUs of that machine or of a new one, and tells the guest's kernel that
   * it was stopped, so that its watchdogs do not bark.
   */
  set(state: ClockState): void {
    this.#setTsc(state);
    const clock = ClockData.encode({ clock: state.clock });
    perform(this.#vm.fd, VmRequest.SetClock, clock, "set", "the guest's clock");
    for (const vcpu of this.#vcpus) {
      // A guest that does not use kvmclock need not be told, and cannot.
      ioctlRaw(vcpu.fd, VcpuRequest.KvmclockControl, 0);
    }
  }

  /** By the offset where that can be set: KVM takes a write of nearly the same value for an attempt to synchronise. */
  #setTsc({ tsc, tscOffsets }: ClockState): void {
    const [first] = this.#vcpus;
    const offset = this.#offset(first);
    if (offset === undefined) {
      this.#vcpus.forEach((vcpu, i) => vcpu.setMsrs([{ index: TSC_MSR, data: tsc[i] ?? tsc[0] }]));
      return;
    }
    const wanted = offset + tsc[0] - tscOf(first);
    this.#vcpus.forEach((vcpu, i) => {
      const apart = tscOffsets === undefined ? 0n : tscOffsets[i] - tscOffsets[0];
      this.#attribute(
        vcpu,
        VcpuRequest.SetDeviceAttribute,
        BigInt.asUintN(64, wanted + apart),
      );
    });
  }

  #offset(vcpu: Vcpu): bigint | undefined {
    return this.#attribute(vcpu, VcpuRequest.GetDeviceAttribute, 0n);
  }

  /** Gets or sets the offset; undefined where KVM does not know it. */
  #attribute(vcpu: Vcpu, request: number, value: bigint): bigint | undefined {
    const window = this.#window;
    const page = window.allocate(PAGE_SIZE);
    window.mapAnonymous(page, PAGE_SIZE);
    try {
      const attribute = Attribute.at(window.view, page);
      attribute.group = TSC_CONTROL;
      attribute.attribute = TSC_OFFSET;
      attribute.address = window.base + page + Attribute.offset.value;
      attribute.value = value;
      return ioctlAt(vcpu.fd, request, page) < 0 ? undefined : attribute.value;
    } finally {
      window.free(page, PAGE_SIZE);
    }
  }
}

function tscOf(vcpu: Vcpu): bigint {
  return vcpu.getMsrs([TSC_MSR])[0]?.data ?? 0n;
}

/** Frequency of a vCPU's time-stamp counter in kHz, 0 where KVM does not tell. */
export function tscKhz(vcpu: Vcpu): number {
  try {
    return ioctl(vcpu.fd, VcpuRequest.GetTscKhz);
  } catch (error) {
    if (error instanceof OsError) return 0;
    throw error;
  }
}
