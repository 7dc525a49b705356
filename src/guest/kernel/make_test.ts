import assert from "node:assert/strict";
import { join } from "node:path";
import { KernelBuildError } from "./kernel_build_error.ts";
import { make } from "./make.ts";
import { tryRun } from "../run.ts";

const ignore = await tryRun("make", ["--version"]) === undefined;

async function inTree(makefile: string, use: (tree: string) => Promise<void>): Promise<void> {
  const tree = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(tree, "Makefile"), makefile);
    await use(tree);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

Deno.test({
  name: "make shows its lines and has nothing of our environment but PATH",
  ignore,
  fn: () =>
    inTree("all:\n\t@echo '  CC      a.o'\n\t@env\n", async (tree) => {
      const lines: string[] = [];
      Deno.env.set("CFLAGS", "-DBAD");
      await make({ tree, output: tree, targets: ["all"], onLine: (line) => lines.push(line) });
      Deno.env.delete("CFLAGS");
      assert.ok(lines.includes("  CC      a.o"));
      assert.ok(!lines.some((line) => line.startsWith("CFLAGS=")));
      assert.ok(lines.some((line) => line.startsWith("PATH=/")));
    }),
});

Deno.test({
  name: "a failure shows the end of what was said",
  ignore,
  fn: () =>
    inTree("all:\n\t@seq 100 >&2; echo 'a.c:1: error: no' >&2; exit 1\n", async (tree) => {
      await assert.rejects(
        make({ tree, output: tree, targets: ["all"] }),
        (error) =>
          error instanceof KernelBuildError && error.output.includes("a.c:1: error: no") &&
          !error.output.includes("\n50\n") && error.output.includes("\n95\n"),
      );
    }),
});

Deno.test({
  name: "an aborted make ends at once and leaves no half-made file",
  ignore,
  fn: () =>
    inTree("a.o:\n\techo half > $@; echo begun; exec sleep 60; echo all > $@\n", async (tree) => {
      const control = new AbortController();
      const start = Date.now();
      await assert.rejects(
        make({
          tree,
          output: tree,
          targets: ["a.o"],
          signal: control.signal,
          onLine: (line) => line === "begun" && control.abort(new Error("stopped")),
        }),
        /stopped/,
      );
      assert.ok(Date.now() - start < 10_000);
      await assert.rejects(Deno.stat(join(tree, "a.o")), Deno.errors.NotFound);
      await assert.rejects(
        make({ tree, output: tree, targets: ["a.o"], signal: control.signal }),
        /stopped/,
      );
    }),
});
