/** Values of kvm_run.exit_reason that x86 machines see, Linux include/uapi/linux/kvm.h. */
export const ExitReason = {
  /** KVM_EXIT_UNKNOWN */ Unknown: 0,
  /** KVM_EXIT_EXCEPTION */ Exception: 1,
  /** KVM_EXIT_IO */ Io: 2,
  /** KVM_EXIT_HYPERCALL */ Hypercall: 3,
  /** KVM_EXIT_DEBUG */ Debug: 4,
  /** KVM_EXIT_HLT: only without the in-kernel irqchip */ Halt: 5,
  /** KVM_EXIT_MMIO */ Mmio: 6,
  /** KVM_EXIT_IRQ_WINDOW_OPEN */ IrqWindowOpen: 7,
  /** KVM_EXIT_SHUTDOWN: triple fault */ Shutdown: 8,
  /** KVM_EXIT_FAIL_ENTRY */ FailEntry: 9,
  /** KVM_EXIT_INTR: KVM_RUN gave -EINTR */ Interrupted: 10,
  /** KVM_EXIT_SET_TPR */ SetTpr: 11,
  /** KVM_EXIT_TPR_ACCESS */ TprAccess: 12,
  /** KVM_EXIT_NMI */ Nmi: 16,
  /** KVM_EXIT_INTERNAL_ERROR */ InternalError: 17,
  /** KVM_EXIT_SYSTEM_EVENT */ SystemEvent: 24,
  /** KVM_EXIT_IOAPIC_EOI */ IoapicEoi: 26,
  /** KVM_EXIT_X86_RDMSR */ ReadMsr: 29,
  /** KVM_EXIT_X86_WRMSR */ WriteMsr: 30,
  /** KVM_EXIT_X86_BUS_LOCK */ BusLock: 33,
  /** KVM_EXIT_NOTIFY */ Notify: 37,
  /** KVM_EXIT_MEMORY_FAULT */ MemoryFault: 39,
} as const;

/** kvm_run.io.direction. */
export const IoDirection = { /** KVM_EXIT_IO_IN */ In: 0, /** KVM_EXIT_IO_OUT */ Out: 1 } as const;

/** kvm_run.internal.suberror. */
export const InternalError = {
  /** KVM_INTERNAL_ERROR_EMULATION */ Emulation: 1,
  /** KVM_INTERNAL_ERROR_SIMUL_EX */ SimultaneousExceptions: 2,
  /** KVM_INTERNAL_ERROR_DELIVERY_EV */ DeliveryEvent: 3,
  /** KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON */ UnexpectedExit: 4,
} as const;

/** kvm_run.system_event.type. */
export const SystemEvent = {
  /** KVM_SYSTEM_EVENT_SHUTDOWN */ Shutdown: 1,
  /** KVM_SYSTEM_EVENT_RESET */ Reset: 2,
  /** KVM_SYSTEM_EVENT_CRASH */ Crash: 3,
} as const;

/** A name for messages, such as "FailEntry"; the number when it is none of ours. */
export function exitReasonName(reason: number): string {
  for (const [name, value] of Object.entries(ExitReason)) if (value === reason) return name;
  return `exit ${reason}`;
}
