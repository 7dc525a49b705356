import { TSC_MSR } from "./guest_clock.ts";
import { perform } from "./perform.ts";
import { VcpuRequest } from "./requests.ts";
import type { Msr } from "./structures.ts";
import type { Vcpu } from "./vcpu.ts";
import { Capability } from "./capability.ts";
import type { Vm } from "./vm.ts";

/** A structure that KVM gives and takes whole; what is in it is KVM's affair. */
interface Part {
  readonly get: number;
  readonly set: number;
  readonly size: number;
}

const R = VcpuRequest;

/**
 * Parts of a vCPU in the order in which they are set. The run state is read first, since that may change what waits to
 * be injected; the APIC needs its base, which is in the system registers; what waits comes last.
 */
const PARTS = {
  runState: { get: R.GetMpState, set: R.SetMpState, size: 4 },
  registers: { get: R.GetRegs, set: R.SetRegs, size: 144 },
  systemRegisters: { get: R.GetSregs, set: R.SetSregs, size: 312 },
  extendedControl: { get: R.GetXcrs, set: R.SetXcrs, size: 392 },
  debugRegisters: { get: R.GetDebugRegs, set: R.SetDebugRegs, size: 128 },
  localApic: { get: R.GetLapic, set: R.SetLapic, size: 1024 },
  events: { get: R.GetEvents, set: R.SetEvents, size: 64 },
} as const satisfies Record<string, Part>;

type PartName = keyof typeof PARTS;

/** Sizes in bytes of a vCPU's parts, for whoever checks a saved one. */
export const vcpuPartSizes: Readonly<Record<PartName, number>> = Object.fromEntries(
  Object.entries(PARTS).map(([name, { size }]) => [name, size]),
) as Record<PartName, number>;

/** A vCPU that does not run, without its clocks and its CPUID. */
export interface VcpuState {
  readonly parts: Readonly<Record<PartName, Uint8Array>>;
  /** FPU and vector registers; its length depends on the processor. */
  readonly xsave: Uint8Array;
  readonly msrs: readonly Msr[];
}

/** IA32_TSC_DEADLINE: an alarm, which is set when the time is right. */
const DEADLINE_MSR = 0x6e0;
/** MTRRs, which KVM keeps and older kernels do not list (Intel SDM vol. 4). */
const MTRRS = [
  0x2ff,
  ...Array.from({ length: 16 }, (_, i) => 0x200 + i),
  ...[0x250, 0x258, 0x259],
  ...Array.from({ length: 8 }, (_, i) => 0x268 + i),
];
const LEGACY_XSAVE = 4096;
/** MSRs in one request; KVM takes fewer than 256 (MAX_IO_MSRS). */
const MSRS_AT_ONCE = 128;

/** Bytes of XSAVE state of a VM's vCPUs. */
export function xsaveSize(vm: Vm): number {
  return Math.max(vm.checkExtension(Capability.Xsave2), LEGACY_XSAVE);
}

/**
 * Reads all of a vCPU. It must not be in the guest, and its last exit must be complete.
 *
 * @throws OsError
 */
export function saveVcpu(vcpu: Vcpu, msrIndices: readonly number[], xsave: number): VcpuState {
  const get = (request: number, size: number, what: string) => {
    const data = new Uint8Array(size);
    perform(vcpu.fd, request, data, `read the ${what} of`, `vCPU ${vcpu.id}`);
    return data;
  };
  const parts = {} as Record<PartName, Uint8Array>;
  for (const [name, part] of entries()) parts[name] = get(part.get, part.size, name);
  const request = xsave > LEGACY_XSAVE ? R.GetXsave2 : R.GetXsave;
  const indices = [...new Set([...msrIndices, ...MTRRS])].filter((index) => index !== TSC_MSR);
  return { parts, xsave: get(request, xsave, "XSAVE state"), msrs: readMsrs(vcpu, indices) };
}

/**
 * Puts a new vCPU, whose CPUID is set, into a saved state. Its clocks must be set already.
 *
 * @returns the MSRs that KVM does not take
 * @throws OsError when it does not take the rest
 */
export function loadVcpu(vcpu: Vcpu, { parts, xsave, msrs }: VcpuState): Msr[] {
  const set = (request: number, data: Uint8Array, what: string) =>
    perform(vcpu.fd, request, data.slice(), `set the ${what} of`, `vCPU ${vcpu.id}`);
  for (const [name, part] of entries()) {
    if (name !== "events") set(part.set, parts[name], name);
    if (name === "extendedControl") set(R.SetXsave, xsave, "XSAVE state");
  }
  const alarm = (msr: Msr) => msr.index === DEADLINE_MSR;
  const ordered = [...msrs.filter((msr) => !alarm(msr)), ...msrs.filter(alarm)];
  const refused = writeMsrs(vcpu, ordered.filter(({ index }) => index !== TSC_MSR));
  set(PARTS.events.set, parts.events, "events");
  return refused;
}

function entries(): [PartName, Part][] {
  return Object.entries(PARTS) as [PartName, Part][];
}

/** The MSRs among these that the vCPU has. */
function readMsrs(vcpu: Vcpu, indices: readonly number[]): Msr[] {
  const msrs: Msr[] = [];
  for (let at = 0; at < indices.length;) {
    const asked = indices.slice(at, at + MSRS_AT_ONCE);
    const read = vcpu.getMsrs(asked);
    msrs.push(...read);
    // KVM stops at the first that it refuses.
    at += read.length < asked.length ? read.length + 1 : read.length;
  }
  return msrs;
}

function writeMsrs(vcpu: Vcpu, msrs: readonly Msr[]): Msr[] {
  const refused: Msr[] = [];
  for (let at = 0; at < msrs.length;) {
    const given = msrs.slice(at, at + MSRS_AT_ONCE);
    const taken = vcpu.setMsrs(given);
    at += taken;
    if (taken < given.length) refused.push(msrs[at++]);
  }
  return refused;
}
