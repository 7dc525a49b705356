import { HostError, Kvm, requireRealKvm } from "../src/kvm/mod.ts";
import { Window } from "../src/os/mod.ts";

/** Whether this machine's KVM runs guests; if not, why. Once per process: it reserves the address window. */
export function realKvm(): { readonly real: true } | {
  readonly real: false;
  readonly why: string;
} {
  try {
    using kvm = Kvm.open();
    requireRealKvm(kvm, Window.reserve());
    return { real: true };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { real: false, why: error.message };
  }
}
