// A monitor that is confined, with a guest that also a KVM that only emulates can run.
import assert from "node:assert/strict";
import { join } from "node:path";
import { monitorFlags } from "../../src/os/mod.ts";
import { tinyTest } from "../../src/machine/testing.ts";
import { confinedBundle, startingEnvironment, startingWays } from "./confined_bundle.ts";

Deno.test("a monitor's engine does the same however it is started", () => {
  for (const [how, flags] of Object.entries(startingWays)) {
    for (const flag of monitorFlags.filter((flag) => flag.startsWith("--v8-flags="))) {
      assert.ok(flags.includes(flag), `${how}: ${flag}`);
    }
  }
});

for (const [how, flags] of Object.entries(startingWays)) {
  // In debug mode the first call that is refused is named, and the end.
  for (const sandbox of ["debug", "full"] as const) {
    tinyTest(
      `a monitor does all that it has to, confined: started ${how}, ${sandbox}`,
      async (folder) => {
        const bundle = join(folder, "confined_vm.js");
        await Deno.writeTextFile(bundle, await confinedBundle());
        const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
          args: ["run", ...flags, bundle, folder, sandbox],
          env: startingEnvironment(folder),
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
