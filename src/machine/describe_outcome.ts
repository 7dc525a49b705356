import { exitReasonName, InternalError } from "../kvm/mod.ts";
import { Outcome, type OutcomeKind } from "../vcpu/mod.ts";

/** Why a machine's power cycle ended. */
export type MachineEnd =
  /** We took the vCPUs out of the guest. */
  | { readonly kind: "quit" }
  | { readonly kind: "power-off" }
  | { readonly kind: "reset" }
  | { readonly kind: "panic" }
  /** The guest cannot go on; the reason is a sentence for its user. */
  | { readonly kind: "crash"; readonly reason: string };

/** What a vCPU's outcome means for its user. */
export function describeOutcome(
  outcome: Exclude<OutcomeKind, typeof Outcome.ThreadFailed>,
  detail: number,
): MachineEnd {
  const crash = (reason: string): MachineEnd => ({ kind: "crash", reason });
  switch (outcome) {
    case Outcome.None:
      return { kind: "quit" };
    case Outcome.PowerOff:
      return { kind: "power-off" };
    case Outcome.Reset:
      return { kind: "reset" };
    case Outcome.Panic:
      return { kind: "panic" };
    case Outcome.TripleFault:
      return crash(
        "the guest ended in a triple fault: its kernel broke so early or so badly that it could not report it",
      );
    case Outcome.FailEntry:
      return crash(`the processor refused to enter the guest (reason 0x${detail.toString(16)})`);
    case Outcome.InternalError:
      return crash(
        detail === InternalError.Emulation
          ? "KVM met an instruction of the guest that it cannot emulate"
          : `KVM gave up on the guest (internal error ${detail})`,
      );
    case Outcome.UnknownExit:
      return crash(`the guest did what this machine does not have (${exitReasonName(detail)})`);
    case Outcome.RunFailed:
      return crash(`KVM_RUN failed with error ${detail}`);
  }
}
