// Makes the attempts here, and prints what came of them. Argument: the parts as JSON.
import { makeAttempts, type Parts } from "./make_attempts.ts";

console.log(JSON.stringify(await makeAttempts(JSON.parse(Deno.args[0]) as Parts)));
