import { bytes, struct, u16, u32, u64, u64big, u8 } from "../codec/mod.ts";

/** struct kvm_cpuid_entry2. */
export const CpuidEntry = struct({
  leaf: u32,
  subleaf: u32,
  flags: u32,
  eax: u32,
  ebx: u32,
  ecx: u32,
  edx: u32,
  padding: bytes(12),
});
/** One CPUID leaf (and subleaf, when flags has {@linkcode SIGNIFICANT_SUBLEAF}). */
export interface CpuidEntry {
  leaf: number;
  subleaf: number;
  flags: number;
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}
/** KVM_CPUID_FLAG_SIGNIFCANT_INDEX. */
export const SIGNIFICANT_SUBLEAF = 1;

/** Head of struct kvm_cpuid2, kvm_msrs and kvm_irq_routing: a count, then the entries. */
export const ListHead = struct({ count: u32, padding: u32 });

/** struct kvm_msr_entry. */
export const MsrEntry = struct({ index: u32, reserved: u32, data: u64big });
/** A model-specific register and its value. */
export interface Msr {
  index: number;
  data: bigint;
}

/** struct kvm_userspace_memory_region. */
export const UserMemoryRegion = struct({
  slot: u32,
  flags: u32,
  guestAddress: u64,
  size: u64,
  userAddress: u64,
});
/** KVM_MEM_READONLY. */
export const MEMORY_READONLY = 2;

/** struct kvm_irq_level. */
export const IrqLevel = struct({ gsi: u32, level: u32 });

/** struct kvm_irqfd. */
export const Irqfd = struct({
  descriptor: u32,
  gsi: u32,
  flags: u32,
  resampleDescriptor: u32,
  padding: bytes(16),
});
/** KVM_IRQFD_FLAG_DEASSIGN. */
export const IRQFD_DEASSIGN = 1;

/** struct kvm_ioeventfd. */
export const Ioeventfd = struct({
  datamatch: u64,
  address: u64,
  length: u32,
  descriptor: u32,
  flags: u32,
  padding: bytes(36),
});
export const IoeventfdFlag = {
  /** KVM_IOEVENTFD_FLAG_DATAMATCH */ Datamatch: 1,
  /** KVM_IOEVENTFD_FLAG_PIO */ Pio: 2,
  /** KVM_IOEVENTFD_FLAG_DEASSIGN */ Deassign: 4,
} as const;

/** struct kvm_irq_routing_entry with its irqchip or msi arm: both are words. */
export const IrqRoutingEntry = struct({
  gsi: u32,
  type: u32,
  flags: u32,
  padding0: u32,
  word0: u32,
  word1: u32,
  word2: u32,
  padding1: bytes(20),
});
export const RouteType = {
  /** KVM_IRQ_ROUTING_IRQCHIP */ Irqchip: 1,
  /** …_MSI */ Msi: 2,
} as const;

/** struct kvm_pit_config. */
export const PitConfig = struct({ flags: u32, padding: bytes(60) });
/** KVM_PIT_SPEAKER_DUMMY: port 0x61 is answered in the kernel. */
export const PIT_SPEAKER_DUMMY = 1;

/** struct kvm_msi. */
export const Msi = struct({
  addressLow: u32,
  addressHigh: u32,
  data: u32,
  flags: u32,
  device: u32,
  padding: bytes(12),
});

/** struct kvm_mp_state. */
export const MpStateStruct = struct({ state: u32 });
/** Values of mp_state on x86. */
export const MpState = {
  /** KVM_MP_STATE_RUNNABLE */ Runnable: 0,
  /** KVM_MP_STATE_UNINITIALIZED: waits for INIT and SIPI inside KVM_RUN */ Uninitialized: 1,
  /** KVM_MP_STATE_INIT_RECEIVED */ InitReceived: 2,
  /** KVM_MP_STATE_HALTED */ Halted: 3,
  /** KVM_MP_STATE_SIPI_RECEIVED */ SipiReceived: 4,
} as const;

/** struct kvm_run up to its union, and the arms of the union that x86 machines see. */
export const RunHead = struct({
  requestInterruptWindow: u8,
  immediateExit: u8,
  padding: bytes(6),
  exitReason: u32,
  readyForInterruptInjection: u8,
  interruptFlag: u8,
  flags: u16,
  cr8: u64,
  apicBase: u64,
});
/** KVM_EXIT_IO */
export const RunIo = struct({ direction: u8, size: u8, port: u16, count: u32, dataOffset: u64 });
/** KVM_EXIT_MMIO */
export const RunMmio = struct({ address: u64, data: bytes(8), length: u32, isWrite: u8 });
/** KVM_EXIT_INTERNAL_ERROR; KVM_EXIT_SYSTEM_EVENT has the same shape. */
export const RunReport = struct({ kind: u32, count: u32, data: bytes(128) });
/** KVM_EXIT_FAIL_ENTRY */
export const RunFailEntry = struct({ reason: u64big, cpu: u32 });
