/** For tests that need a KVM, real or not. */
import { payload, Window } from "../os/mod.ts";

/**
 * A window of this test file alone. A process has one, and all test files run in one process, so each
 * loads a copy of the shim.
 */
export function testWindow(): Window {
  const original = payload();
  const shim = Deno.makeTempFileSync({ suffix: ".so" });
  try {
    Deno.copyFileSync(original.shim, shim);
    globalThis.spectrumPayload = { ...original, shim };
    return Window.reserve(2 ** 40);
  } finally {
    Deno.removeSync(shim);
  }
}

/** Whether this machine has a KVM that can be opened; says so when not. */
export function hasKvm(): boolean {
  try {
    Deno.openSync("/dev/kvm", { read: true, write: true }).close();
    return true;
  } catch {
    console.log("skipped: no /dev/kvm that this user may open");
    return false;
  }
}
