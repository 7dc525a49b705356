import assert from "node:assert/strict";
import { policies } from "../../../src/devices/mod.ts";
import { escapesOf, escapeTable, type Results } from "../../interop/escape/table.ts";
import { type Bench, fromSource } from "../machine.ts";
import { ALL } from "./escape_image.ts";

export { escapeImage } from "./escape_image.ts";

/** Seconds; the runtime starts twice for each kind of device. */
const LIMIT = 600;

/** The machine, as docs/device-vm.md has one. */
const deviceVm = (kernel: string, image: string) => `
name = "escape"
kernel = "${kernel}"
memory = "256M"
root = "disk0"
cmdline = "quiet init=/init"

[[disk]]
path = "${image}"
readonly = true
`;

/** Hostile code in the place of each kind of device, inside of a device VM. */
export async function escapeTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "attempts to escape in a device VM", async (t) => {
    const file = "/scratch/escape.toml";
    const stdin = deviceVm(bench.small.kernel, bench.escapeImage);
    await bench.stage.run({ command: ["sh", "-c", `cat >${file}`], stdin });
    const { status, stdout, stderr } = await bench.stage.run({
      command: [...fromSource, "run", file],
      timeout: LIMIT,
    });
    assert.equal(status, 0, stderr + stdout);
    for (const kind of Object.keys(policies)) {
      await t.step(
        `nothing that hostile code tries in the place of ${kind} gets out of its jail`,
        () => {
          const [, line] = new RegExp(`^@@${kind} (.*?)\r?$`, "m").exec(stdout) ?? [];
          assert.ok(line !== undefined, stdout + stderr);
          const results = JSON.parse(line) as Results;
          if (ALL && kind === "blk") console.log(escapeTable(results));
          assert.deepEqual(escapesOf(results), []);
        },
      );
    }
  });
}
