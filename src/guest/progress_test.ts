import assert from "node:assert/strict";
import { cacheDir } from "./cache_dir.ts";
import { showProgress } from "./progress.ts";

function shown(isTerminal: boolean): { text: string; progress: ReturnType<typeof showProgress> } {
  const output = { text: "", progress: showProgress() };
  output.progress = showProgress({ isTerminal, write: (text) => void (output.text += text) });
  return output;
}

Deno.test("off a terminal a step has one line, and one more per quarter", () => {
  const output = shown(false);
  for (let percent = 0; percent <= 100; percent++) output.progress("loading", percent / 100);
  output.progress("unpacking");
  assert.equal(
    output.text,
    "loading\nloading 25 %\nloading 50 %\nloading 75 %\nloading 100 %\nunpacking\n",
  );
});

Deno.test("on a terminal the percentage changes in place", () => {
  const output = shown(true);
  output.progress("loading", 0.1);
  output.progress("loading", 0.2);
  output.progress("unpacking");
  assert.equal(output.text, "loading 10 %\n\x1b[1A\r\x1b[Kloading 20 %\nunpacking\n");
});

Deno.test("the cache folder follows the XDG rules", () => {
  const env = (values: Record<string, string>) => ({ get: (key: string) => values[key] });
  assert.equal(cacheDir(env({ XDG_CACHE_HOME: "/x", HOME: "/h" })), "/x/spectrum");
  assert.equal(cacheDir(env({ XDG_CACHE_HOME: "relative", HOME: "/h" })), "/h/.cache/spectrum");
  assert.throws(() => cacheDir(env({})), /set HOME/);
});
