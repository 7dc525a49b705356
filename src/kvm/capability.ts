/** Numbers for KVM_CHECK_EXTENSION, Linux include/uapi/linux/kvm.h. */
export const Capability = {
  /** KVM_CAP_IRQCHIP */ Irqchip: 0,
  /** KVM_CAP_USER_MEMORY */ UserMemory: 3,
  /** KVM_CAP_SET_TSS_ADDR */ SetTssAddress: 4,
  /** KVM_CAP_EXT_CPUID */ ExtendedCpuid: 7,
  /** KVM_CAP_NR_MEMSLOTS */ MemorySlots: 10,
  /** KVM_CAP_MP_STATE */ MpState: 14,
  /** KVM_CAP_IRQ_ROUTING: number of routes */ IrqRouting: 25,
  /** KVM_CAP_IRQFD */ Irqfd: 32,
  /** KVM_CAP_PIT2 */ Pit2: 33,
  /** KVM_CAP_IOEVENTFD */ Ioeventfd: 36,
  /** KVM_CAP_SET_IDENTITY_MAP_ADDR */ SetIdentityMapAddress: 37,
  /** KVM_CAP_MAX_VCPUS */ MaxVcpus: 66,
  /** KVM_CAP_TSC_DEADLINE_TIMER */ TscDeadlineTimer: 72,
  /** KVM_CAP_SIGNAL_MSI */ SignalMsi: 77,
  /** KVM_CAP_READONLY_MEM */ ReadonlyMemory: 81,
  /** KVM_CAP_IOEVENTFD_ANY_LENGTH */ IoeventfdAnyLength: 122,
  /** KVM_CAP_XSAVE2: bytes of a vCPU's XSAVE state */ Xsave2: 208,
  /** KVM_CAP_IMMEDIATE_EXIT */ ImmediateExit: 136,
} as const;

/** What a machine of ours cannot do without, by the kernel's names, for the error message. */
export const REQUIRED: readonly (readonly [name: string, number: number])[] = [
  ["KVM_CAP_IRQCHIP", Capability.Irqchip],
  ["KVM_CAP_USER_MEMORY", Capability.UserMemory],
  ["KVM_CAP_SET_TSS_ADDR", Capability.SetTssAddress],
  ["KVM_CAP_EXT_CPUID", Capability.ExtendedCpuid],
  ["KVM_CAP_MP_STATE", Capability.MpState],
  ["KVM_CAP_IRQ_ROUTING", Capability.IrqRouting],
  ["KVM_CAP_IRQFD", Capability.Irqfd],
  ["KVM_CAP_PIT2", Capability.Pit2],
  ["KVM_CAP_IOEVENTFD", Capability.Ioeventfd],
  ["KVM_CAP_SET_IDENTITY_MAP_ADDR", Capability.SetIdentityMapAddress],
  ["KVM_CAP_IMMEDIATE_EXIT", Capability.ImmediateExit],
];
