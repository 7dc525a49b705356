import type { ChipState, ClockState, CpuidEntry, VcpuState } from "../kvm/mod.ts";
import type { PlatformDescription } from "../pci/mod.ts";

/** A machine that does not run, without its memory. */
export interface MachineState {
  readonly clocks: ClockState;
  /** Frequency of the time-stamp counters, 0 where KVM does not tell. */
  readonly tscKhz: number;
  /** Of each vCPU. */
  readonly cpuid: readonly (readonly CpuidEntry[])[];
  readonly vcpus: readonly VcpuState[];
  readonly chips: ChipState;
  /** The registers of all devices in the monitor. */
  readonly devices: {
    /** Where what is, see {@linkcode layoutOf}: the bytes fit only a platform of the same. */
    readonly layout: string;
    readonly bytes: Uint8Array;
  };
}

/** A platform's layout as text: the same plan gives the same, in whatever process; descriptors are left out. */
export function layoutOf(platform: PlatformDescription): string {
  return JSON.stringify(
    platform,
    (key, value: unknown) => key === "sharedDescriptor" ? undefined : value,
  );
}
