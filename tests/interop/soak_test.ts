// Every kind of worker in its jail, at work for a while: nothing that it does may be missing in its policy.
import assert from "node:assert/strict";
import { join } from "node:path";
import { bundled } from "../../scripts/build/mod.ts";
import { payload, workerFlags } from "../../src/os/mod.ts";
import { runAs } from "../../src/sandbox/testing.ts";
import { loads } from "./soak/loads.ts";
import { OF_ROOT, output, within } from "./soak/surroundings.ts";

/** By hand 600. */
const SECONDS = Number(Deno.env.get("SPECTRUM_SOAK_SECONDS") ?? 20);
/** An ordinary user's workers differ in their namespaces alone. */
const USER_SECONDS = Math.min(SECONDS, 60);

const isRoot = Deno.uid() === 0;
const names = Object.keys(loads);
const ofEverybody = names.filter((name) => !OF_ROOT.includes(name));

/** A script that finds the parts of the program, whoever runs it. */
async function build(folder: string): Promise<string> {
  const { device: _device, ...parts } = payload();
  const flags = JSON.stringify(workerFlags);
  const device = `[Deno.execPath(), "run", ...${flags}, ${
    JSON.stringify(payload().device.at(-1))
  }]`;
  const script = join(folder, "soak.js");
  const program = new URL("soak/run_soak.ts", import.meta.url).pathname;
  await Deno.writeTextFile(
    script,
    `globalThis.spectrumPayload = { ...${JSON.stringify(parts)}, device: ${device} };\n` +
      await bundled("soak", program),
  );
  return script;
}

/** Runs one load, in a namespace where it has to be. */
async function run(script: string, name: string, folder: string): Promise<string> {
  const words = ["run", "-A", "--no-lock", "--no-config", script, name, folder, String(SECONDS)];
  return await within(name, folder, (enter) => {
    const [command, ...args] = [...enter, Deno.execPath(), ...words];
    return output(command, ...args);
  });
}

/** Each in a folder of its own, side by side. */
async function sideBySide(
  t: Deno.TestContext,
  all: readonly string[],
  each: (name: string, folder: string) => Promise<string>,
): Promise<void> {
  const ended = all.map(async (name) => {
    // Where files can be opened directly.
    const folder = await Deno.makeTempDir({ dir: "/var/tmp", prefix: "spectrum-soak-" });
    await Deno.chmod(folder, 0o777);
    try {
      return { name, counts: JSON.parse(await each(name, folder)) };
    } catch (error) {
      return { name, error };
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
  for (const { name, counts, error } of await Promise.all(ended)) {
    await t.step(name, () => {
      if (error !== undefined) throw error;
      console.log(`${name}: ${JSON.stringify(counts)}`);
      assert.ok(counts.workers >= 2 && counts.connections >= 2);
    });
  }
}

Deno.test("workers of all kinds do all that they have to, in their jails", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-soak-" });
  try {
    await Deno.chmod(folder, 0o755);
    const script = await build(folder);
    const mine = isRoot ? names : ofEverybody;
    await t.step(
      "as ourselves",
      (t) => sideBySide(t, mine, (name, folder) => run(script, name, folder)),
    );
    if (!isRoot) return;
    await t.step("as an ordinary user", (t) =>
      sideBySide(
        t,
        ofEverybody,
        (name, folder) => runAs("user", script, [name, folder, String(USER_SECONDS)]),
      ));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
