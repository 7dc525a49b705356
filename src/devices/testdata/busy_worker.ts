// A process with the filter of a source of random numbers, whose engine has a lot to do: new code that gets hot, garbage
// of all sizes, buffers outside of the heap. For as many milliseconds as its argument says.

import { useLibrary } from "../../os/mod.ts";
import { lockDown } from "../../sandbox/mod.ts";
import { rngPolicy } from "../rng/policy.ts";

useLibrary("worker");
lockDown(rngPolicy.calls);
const kept: unknown[] = [];
const start = Date.now();
let sum = 0;
for (let round = 0; Date.now() - start < Number(Deno.args[0]); round++) {
  // Each is a function of its own, which the engine compiles anew and then better.
  const hot = new Function(
    "x",
    `let y = ${round}; for (let i = 0; i < 3000; i++) y = (y * 31 + x + i) | 0; return y;`,
  );
  for (let i = 0; i < 40; i++) sum ^= hot(i);
  const garbage = Array.from({ length: 3000 }, (_, i) => ({ i, text: String(i * round) }));
  sum ^= JSON.stringify(garbage).length;
  kept[round % 30] = [garbage, new Uint8Array(2 ** 18).fill(round), /a+b/.exec("xaaab")];
}
console.log(`${kept.length > 0} ${Number.isInteger(sum)}`);
Deno.exit(0);
