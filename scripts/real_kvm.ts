import { HostError, Kvm, requireRealKvm } from "../src/kvm/mod.ts";
import { Window } from "../src/os/mod.ts";

/** Whether this machine's KVM runs guests; if not, why. */
export type RealKvm = { readonly real: true } | { readonly real: false; readonly why: string };

/** Tries it in a process of its own, since the trial takes the process's only address window. */
export function realKvm(): RealKvm {
  const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL(import.meta.url).pathname],
  }).outputSync();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Trying KVM failed:\n${decoder.decode(stderr)}`);
  return JSON.parse(decoder.decode(stdout));
}

function tryKvm(): RealKvm {
  try {
    using kvm = Kvm.open();
    requireRealKvm(kvm, Window.reserve());
    return { real: true };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { real: false, why: error.message };
  }
}

if (import.meta.main) console.log(JSON.stringify(tryKvm()));
