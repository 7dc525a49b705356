// A monitor under its own filter of system calls, with a guest that also a KVM that only emulates can run.
import assert from "node:assert/strict";
import { join } from "node:path";
import { bundled } from "../../scripts/build/mod.ts";
import { tinyTest } from "../../src/machine/testing.ts";
import { monitorFlags, payload } from "../../src/os/mod.ts";

/** So that the engine does what it does where there is much memory. */
const LARGE_HEAP = "--max-old-space-size=4096";
/** As `deno task spectrum` starts it: with the runtime's caches. */
const TASK_FLAGS = ["-A", "--no-prompt", "--no-config"];

for (const [how, flags] of [["by itself", monitorFlags], ["from a task", TASK_FLAGS]] as const) {
  // In debug mode the first call that is refused is named, and the end.
  for (const sandbox of ["debug", "full"] as const) {
    tinyTest(
      `a monitor does all that it has to, confined: started ${how}, ${sandbox}`,
      async (folder) => {
        const program = new URL("confined_vm.ts", import.meta.url).pathname;
        const bundle = join(folder, "confined_vm.js");
        const { device, ...parts } = payload();
        const places = JSON.stringify({ ...parts, device: [...device] });
        await Deno.writeTextFile(
          bundle,
          `globalThis.spectrumPayload = ${places};\n${await bundled("confined_vm", program)}`,
        );
        const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
          args: ["run", ...flags, bundle, folder, sandbox],
          env: {
            DENO_V8_FLAGS: LARGE_HEAP,
            DENO_DIR: join(folder, "cache"),
            DENO_NO_UPDATE_CHECK: "1",
          },
        }).output();
        const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
        const said = `${text(stdout)}${text(stderr)}`;
        assert.equal(code, 0, said);
        assert.match(text(stdout), /is off\n$/);
        assert.equal(text(stderr), "");
      },
    );
  }
}
