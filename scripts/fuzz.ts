// `deno task fuzz [TARGET...] [--seconds N | --turns N]`, or `TARGET --replay FILE`: see docs/contributing.md.
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { currentTape, FOUND, writeFound } from "../tests/fuzz/corpus.ts";
import { Player } from "../tests/fuzz/player.ts";
import { findTargets, loadTarget } from "./fuzz/find_targets.ts";
import { ready } from "./ready.ts";

/** A game that takes longer hangs. */
const MOST_SECONDS = 60;

const targets = findTargets();
const program = new Command("deno task fuzz")
  .addArgument(new Argument("[targets...]", "all without any").choices([...targets.keys()]))
  .addOption(
    new Option("--seconds <n>", "how long each, toward code that never ran; by default 60")
      .argParser(positive),
  )
  .addOption(
    new Option("--turns <n>", "as many turns of each at random").argParser(positive).conflicts(
      "seconds",
    ),
  )
  .addOption(
    new Option("--replay <file>", "play one tape of the only target again").conflicts([
      "seconds",
      "turns",
    ]),
  )
  .parse(Deno.args, { from: "user" });
const names = program.args;
const values = program.opts<{ seconds?: number; turns?: number; replay?: string }>();
if (values.replay !== undefined && names.length !== 1) {
  program.error("error: --replay takes one target");
}
await ready();
if (values.replay !== undefined) {
  await replay(names[0], values.replay);
} else {
  const [unit, amount] = values.turns === undefined
    ? ["seconds", values.seconds ?? 60] as const
    : ["turns", values.turns] as const;
  Deno.mkdirSync(FOUND, { recursive: true });
  for (const name of names.length > 0 ? names : targets.keys()) {
    await runAlone(name, unit, amount);
  }
}

function positive(text: string): number {
  const number = Number(text);
  if (!(Number.isInteger(number) && number > 0)) {
    throw new InvalidArgumentError("It is a number from 1 on.");
  }
  return number;
}

async function replay(name: string, file: string): Promise<void> {
  const target = await loadTarget(name);
  console.log(
    `${name}: ${await new Player(target).play(Deno.readFileSync(file))} turns, nothing broken`,
  );
}

/** In a process of its own; when it crashes or hangs, the tape that it played is kept. */
async function runAlone(name: string, unit: string, amount: number): Promise<void> {
  const script = new URL("fuzz/alone.ts", import.meta.url).pathname;
  const args = ["run", "-A", "--no-check", script, name, unit, `${amount}`];
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
