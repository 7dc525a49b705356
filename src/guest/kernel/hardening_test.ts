import assert from "node:assert/strict";
import { cacheDir } from "../cache_dir.ts";
import { currentKernel, kernelFragment } from "./build_kernel.ts";
import { hardeningFor, hardeningTable } from "./hardening.ts";
import { lostOptions, parseKernelConfig } from "./kernel_config.ts";
import { profiles } from "./profiles.ts";

Deno.test("no option is chosen twice for a profile, nor undone by a fragment", () => {
  for (const profile of profiles) {
    const choices = hardeningFor(profile);
    const names = choices.map(({ option }) => option);
    assert.deepEqual(names.filter((name, i) => names.indexOf(name) !== i), [], profile);
    const asked = parseKernelConfig(kernelFragment(profile));
    for (const { option, value } of choices) assert.equal(asked.get(option), value, option);
  }
});

Deno.test("docs/kernel.md has the table as it is", async () => {
  const page = await Deno.readTextFile(new URL("../../../docs/kernel.md", import.meta.url));
  const table = /<!-- hardening: begin -->\n(.*?)<!-- hardening: end -->/s.exec(page)?.[1];
  assert.deepEqual(unaligned(table ?? ""), unaligned(hardeningTable()));
});

/** Lines without what the formatter does to align columns. */
function unaligned(table: string): string[] {
  return table.trim().split("\n").map((line) =>
    line.replaceAll(/ +/g, " ").replaceAll(/-{3,}/g, "---")
  );
}

for (const profile of profiles) {
  const kernel = await currentKernel({ profile, cacheDir: cacheDir() });
  Deno.test({
    name:
      `the kernel of profile ${profile} is built as the table says (needs: spectrum kernel build)`,
    ignore: kernel === undefined,
    fn: async () => {
      const built = parseKernelConfig(await Deno.readTextFile(kernel?.config ?? ""));
      const table = new Map(hardeningFor(profile).map(({ option, value }) => [option, value]));
      assert.deepEqual(lostOptions(table, built), []);
    },
  });
}
