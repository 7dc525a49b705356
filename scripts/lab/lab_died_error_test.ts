import assert from "node:assert/strict";
import { labDied } from "./lab_died_error.ts";

Deno.test("the reason is read from the console, else from QEMU's end", () => {
  const good = { success: true, code: 0, signal: null };
  assert.equal(
    labDied("x\r\n[ 1.0] Kernel panic - not syncing: Fatal exception\r\n[ 1.1] y\r\n", good).reason,
    "kernel panic: not syncing: Fatal exception",
  );
  assert.match(
    labDied("", { success: false, code: 137, signal: "SIGKILL" }).message,
    /ended by SIGKILL\.$/,
  );
  const refused = labDied("qemu-system-x86_64: cannot set up guest memory\n", {
    success: false,
    code: 1,
    signal: null,
  });
  assert.match(
    refused.message,
    /ended with status 1\.\n.*\nqemu-system-x86_64: cannot set up guest memory$/,
  );
  assert.match(labDied("", good).reason, /powered off or was reset/);
});
