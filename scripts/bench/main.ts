/**
 * `deno task bench NAME [--json FILE] [--runs N]`: measures, and prints a line per measurement with
 * ours, the peer's and their ratio. The table goes to stdout, what is going on to stderr. With
 * `--json` the same goes to a file as data.
 */

import { availableParallelism, release } from "node:os";
import { parseArgs } from "node:util";
import { benches } from "./registry.ts";
import { table } from "./table.ts";

async function usage(): Promise<never> {
  console.error("Usage: deno task bench NAME [--json FILE] [--runs N]\n\nBenchmarks:");
  for (const [name, load] of Object.entries(benches)) {
    console.error(`  ${name.padEnd(9)} ${(await load()).summary}`);
  }
  Deno.exit(1);
}

function options() {
  try {
    return parseArgs({
      args: Deno.args,
      allowPositionals: true,
      options: { json: { type: "string" }, runs: { type: "string" } },
    });
  } catch (error) {
    console.error((error as Error).message);
    return undefined;
  }
}

/** A line on a terminal that the next one replaces; else one line each. */
function progress(text: string): void {
  const line = Deno.stderr.isTerminal() ? `\r\x1b[K${text}` : `${text}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(line));
}

const given = options();
const load = given === undefined ? undefined : benches[given.positionals[0] ?? ""];
const runs = given?.values.runs === undefined ? undefined : Number(given.values.runs);
if (given === undefined || load === undefined || given.positionals.length !== 1) await usage();
else if (runs !== undefined && !(Number.isInteger(runs) && runs > 0)) await usage();
else {
  const bench = await load();
  const before = Deno.loadavg()[0];
  const result = await bench.run({ runs, progress });
  if (Deno.stderr.isTerminal()) progress("");
  console.log(table(result.measurements));
  const busy = before > availableParallelism() / 2
    ? [
      `the host was busy (load ${
        before.toFixed(1)
      }, ${availableParallelism()} CPUs): trust no figure`,
    ]
    : [];
  const notes = [...result.notes, ...busy];
  for (const note of notes) console.log(`note: ${note}`);
  if (given.values.json !== undefined) {
    const host = {
      cpus: availableParallelism(),
      kernel: release(),
      load: before,
      deno: Deno.version.deno,
    };
    const data = { bench: bench.name, date: new Date().toISOString(), host, ...result, notes };
    await Deno.writeTextFile(given.values.json, `${JSON.stringify(data, undefined, 2)}\n`);
  }
}
