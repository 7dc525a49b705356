/** KVM as typed objects: the host's KVM, virtual machines, vCPUs, and whether KVM is real at all. */

export { CHIP_SIZE, type ChipState, loadChips, PIT_SIZE, saveChips } from "./chip_state.ts";
export { Capability } from "./capability.ts";
export { type CpuidOptions, physicalBits, vcpuCpuid } from "./cpuid.ts";
export {
  ExitReason,
  exitReasonName,
  InternalError,
  IoDirection,
  SystemEvent,
} from "./exit_reason.ts";
export { code32, code64, flatData, taskSegment } from "./flat_segments.ts";
export { defaultGsiRoutes, type GsiRoute, IOAPIC_PINS, Irqchip } from "./gsi_route.ts";
export { type ClockState, GuestClock, tscKhz } from "./guest_clock.ts";
export { HostError, type HostErrorReason } from "./host_error.ts";
export { Kvm } from "./kvm.ts";
export { KvmRun } from "./kvm_run.ts";
export { type KvmProbe, probeKvm, REAL_ITERATIONS_PER_SECOND, requireRealKvm } from "./probe.ts";
export type { DescriptorTable, Fpu, Regs, Segment, Sregs } from "./registers.ts";
export { resetMsrs, type ResetOptions, resetVcpu } from "./reset_state.ts";
export { type CpuidEntry, MpState, type Msr } from "./structures.ts";
export { type SharedVcpu, Vcpu } from "./vcpu.ts";
export { type IoEvent, type MemorySlot, Vm } from "./vm.ts";
export { loadVcpu, saveVcpu, vcpuPartSizes, type VcpuState, xsaveSize } from "./vcpu_state.ts";
