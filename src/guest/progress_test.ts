import assert from "node:assert/strict";
import { showProgress } from "./progress.ts";

function shown(isTerminal: boolean): { progress: ReturnType<typeof showProgress>; text(): string } {
  let text = "";
  const progress = showProgress({ isTerminal, write: (more) => text += more });
  return { progress, text: () => text };
}

Deno.test("on a terminal a step is one line that changes", () => {
  const { progress, text } = shown(true);
  progress("reading lists");
  progress("downloading", 0);
  progress("downloading", 0.456);
  progress("compiling:", 0.5, "812 of 1624 files");
  const again = "\x1b[1A\r\x1b[K";
  assert.equal(
    text(),
    `reading lists\ndownloading 0 %\n${again}downloading 45 %\ncompiling: 812 of 1624 files\n`,
  );
});

Deno.test("elsewhere a step is a line, and one for each quarter", () => {
  const { progress, text } = shown(false);
  for (let i = 0; i <= 100; i++) progress("compiling:", i / 100, `${i} of 100 files`);
  assert.equal(
    text(),
    "compiling:\ncompiling: 25 %\ncompiling: 50 %\ncompiling: 75 %\ncompiling: 100 %\n",
  );
});
