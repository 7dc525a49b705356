// `deno task fuzz [TARGET...] [--seconds N | --turns N]`, or `TARGET --replay FILE`: see docs/contributing.md.
import { parseArgs } from "node:util";
import { currentTape, FOUND, writeFound } from "../tests/fuzz/corpus.ts";
import { Player } from "../tests/fuzz/player.ts";
import { findTargets, loadTarget } from "./fuzz/find_targets.ts";
import { ready } from "./ready.ts";

/** A game that takes longer hangs. */
const MOST_SECONDS = 60;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string" }, turns: { type: "string" }, replay: { type: "string" } },
});
await ready();
const targets = findTargets();
const unknown = positionals.find((name) => !targets.has(name));
if (unknown !== undefined) {
  console.error(`There is no target "${unknown}", only ${[...targets.keys()].join(", ")}.`);
  Deno.exit(1);
}
if (values.replay !== undefined) await replay(positionals[0], values.replay);
else {
  const [unit, amount] = values.turns === undefined
    ? ["seconds", values.seconds ?? "60"]
    : ["turns", values.turns];
  Deno.mkdirSync(FOUND, { recursive: true });
  for (const name of positionals.length > 0 ? positionals : targets.keys()) {
    await runAlone(name, unit, amount);
  }
}

async function replay(name: string, file: string): Promise<void> {
  const target = await loadTarget(name);
  console.log(
    `${name}: ${await new Player(target).play(Deno.readFileSync(file))} turns, nothing broken`,
  );
}

/** In a process of its own; when it crashes or hangs, the tape that it played is kept. */
async function runAlone(name: string, unit: string, amount: string): Promise<void> {
  const script = new URL("fuzz/alone.ts", import.meta.url).pathname;
  const args = ["run", "-A", "--no-check", script, name, unit, amount];
  const child = new Deno.Command(Deno.execPath(), { args, stdin: "null" }).spawn();
  const file = currentTape(name);
  Deno.writeFileSync(file, new Uint8Array(0));
  const timer = setInterval(() => {
    const age = Date.now() - (Deno.statSync(file).mtime?.getTime() ?? 0);
    if (age > 1000 * MOST_SECONDS) child.kill("SIGKILL");
  }, 1000);
  const { signal, code } = await child.status;
  clearInterval(timer);
  if (code !== 0) Deno.exitCode = 1;
  if (signal === null) return;
  const tape = writeFound(name, Deno.readFileSync(file));
  console.log(`${name}: ended by ${signal}: deno task fuzz ${name} --replay ${tape}`);
}
