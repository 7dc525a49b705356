import assert from "node:assert/strict";
import { confinedBundle, startingEnvironment, startingWays } from "../interop/confined_bundle.ts";
import type { Bench } from "./machine.ts";

const FOLDER = "/scratch/confined";
/** Seconds. */
const LIMIT = 300;

/** The test of interop once more, where KVM is real: a machine may have none at all. */
export async function confinedTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a confined monitor does all that it has to, and no more", async () => {
    const environment = { ...startingEnvironment(FOLDER), XDG_RUNTIME_DIR: FOLDER };
    const set = Object.entries(environment).map(([name, value]) => `${name}=${value}`).join(" ");
    const flags = startingWays["from a task"].join(" ");
    const { status, stdout, stderr } = await bench.stage.run({
      command: [
        "sh",
        "-ec",
        `mkdir -p ${FOLDER}; cat >${FOLDER}/vm.js
exec env ${set} deno run ${flags} ${FOLDER}/vm.js ${FOLDER} full`,
      ],
      stdin: await confinedBundle(),
      timeout: LIMIT,
    });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /is off\n$/);
    assert.equal(stderr, "");
  });
}
