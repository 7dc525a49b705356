import { type CpuidEntry, MpState, type Msr } from "./structures.ts";
import type { Vcpu } from "./vcpu.ts";

/** Indices of MSRs (Intel SDM vol. 4). */
const MsrIndex = {
  /** IA32_MISC_ENABLE */ MiscEnable: 0x1a0,
  /** IA32_PAT */ Pat: 0x277,
  /** IA32_MTRR_DEF_TYPE */ MtrrDefType: 0x2ff,
} as const;

/** MISC_ENABLE: fast strings, which Linux asks for on Intel and warns about when they are missing. */
const FAST_STRINGS = 1n;
/** Power-on value: WB, WT, UC-, UC, twice. */
const DEFAULT_PAT = 0x0007_0406_0007_0406n;
/**
 * MTRRs enabled, write-back where no other says so, as firmware leaves them. With MTRRs disabled Linux
 * turns a write-back mapping of a BAR silently into an uncached one.
 */
const WRITE_BACK_ENABLED = 0x806n;
/** CPUID leaf 1 EDX: the CPU has MTRRs. Older kernels do not list them, though they keep them. */
const MTRR_FEATURE = 1 << 12;

/** The MSRs to set at reset, of those that this KVM has. */
export function resetMsrs(indices: readonly number[], cpuid: readonly CpuidEntry[]): Msr[] {
  const known = new Set(indices);
  const hasMtrr = ((cpuid.find((e) => e.leaf === 1)?.edx ?? 0) & MTRR_FEATURE) !== 0;
  if (hasMtrr) known.add(MsrIndex.MtrrDefType);
  const wanted: Msr[] = [
    { index: MsrIndex.MiscEnable, data: FAST_STRINGS },
    { index: MsrIndex.Pat, data: DEFAULT_PAT },
    { index: MsrIndex.MtrrDefType, data: WRITE_BACK_ENABLED },
  ];
  return wanted.filter(({ index }) => known.has(index));
}

/** What a vCPU needs before it first runs. */
export interface ResetOptions {
  /** From vcpuCpuid. */
  readonly cpuid: readonly CpuidEntry[];
  /** From Kvm.msrIndices. */
  readonly msrIndices: readonly number[];
}

/**
 * Brings a new vCPU into the state in which firmware would hand it to a kernel. vCPU 0 runs (set its
 * registers with boot's applyEntry); the others wait inside KVM_RUN for INIT and SIPI.
 *
 * @returns indices of MSRs that KVM did not take
 * @throws OsError
 */
export function resetVcpu(vcpu: Vcpu, { cpuid, msrIndices }: ResetOptions): number[] {
  vcpu.setCpuid(cpuid);
  const refused = resetMsrs(msrIndices, cpuid)
    .filter((msr) => vcpu.setMsrs([msr]) !== 1)
    .map(({ index }) => index);
  vcpu.setMpState(vcpu.id === 0 ? MpState.Runnable : MpState.Uninitialized);
  return refused;
}
