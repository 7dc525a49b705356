// Makes the attempts here, and prints what came of them. Argument: the parts as JSON.
import { makeAttempts, type Parts } from "./make_attempts.ts";

function run(command: string, ...args: string[]): string {
  const { stdout, stderr, success } = new Deno.Command(command, { args }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Where everybody may look at it. */
const queue = /\d+/.exec(run("ipcmk", "--queue", "--mode", "0666"))?.[0] ?? "";
const parts = JSON.parse(Deno.args[0]) as Parts;
const outcome = await makeAttempts({ ...parts, queue });
run("ipcrm", "--queue-id", queue);
console.log(JSON.stringify(outcome));
