// In a device VM, in the place of what serves devices: lets hostile code loose in theirs, and prints what came of it, a
// line for each kind of device.
import { guestCalls, policies } from "../../../src/devices/mod.ts";
import type { Column } from "../../interop/escape/columns.ts";
import { makeAttempts } from "../../interop/escape/make_attempts.ts";

declare global {
  /** Set by the first lines of the bundle, since an image has no place for more. */
  var attempts: {
    /** In base64. */
    readonly library: string;
    readonly columns: readonly Column[];
  };
}

try {
  const library = "/tmp/attempts.so", victim = "/tmp/victim";
  await Deno.writeFile(library, Uint8Array.fromBase64(attempts.library));
  await Deno.writeTextFile(victim, "x".repeat(4096));
  const bundle = `${import.meta.dirname}/device.js`;
  for (const [kind, policy] of Object.entries(policies)) {
    const results = await makeAttempts({
      ...{ bundle, library, victim, columns: attempts.columns },
      policies: { [kind]: { ...policy, calls: [...guestCalls, ...policy.calls] } },
    });
    console.log(`@@${kind} ${JSON.stringify(results[kind])}`);
  }
} catch (error) {
  // It ends well all the same: init would start us again.
  console.log(error);
}
