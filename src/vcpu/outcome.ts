/** Why a vCPU ended its machine; numbers, since it is told through shared memory. */
export const Outcome = {
  None: 0,
  /** The guest asked for power off (ACPI S5). */
  PowerOff: 1,
  /** The guest asked for a reset (ACPI reset register, i8042). */
  Reset: 2,
  /** The guest's kernel reported a panic (pvpanic). */
  Panic: 3,
  /** KVM_EXIT_SHUTDOWN: a fault while handling a double fault. */
  TripleFault: 4,
  /** KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state; detail is its reason. */
  FailEntry: 5,
  /** KVM_EXIT_INTERNAL_ERROR: KVM cannot go on; detail is the suberror (1 is an instruction it cannot emulate). */
  InternalError: 6,
  /** An exit that no machine of ours should cause; detail is the exit reason. */
  UnknownExit: 7,
  /** KVM_RUN itself failed; detail is the errno. */
  RunFailed: 8,
  /** An error of ours ended the thread; it follows as the worker's error event. */
  ThreadFailed: 9,
} as const;

/** One of {@linkcode Outcome}'s values. */
export type OutcomeKind = typeof Outcome[keyof typeof Outcome];
