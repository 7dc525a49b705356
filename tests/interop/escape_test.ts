// Hostile code in a device's place, in each part of the jail and in all of it.
import assert from "node:assert/strict";
import { join } from "node:path";
import { root } from "../../scripts/root.ts";
import { policies } from "../../src/devices/mod.ts";
import { monitorCalls, vcpuCalls } from "../../src/machine/mod.ts";
import type { Policy } from "../../src/sandbox/mod.ts";
import { runAs, runProgramAs, type Who } from "../../src/sandbox/testing.ts";
import { buildHostile } from "./escape/build_hostile.ts";
import { type Column, columns } from "./escape/columns.ts";
import { escapesOf, escapeTable, type Results } from "./escape/table.ts";

/** What a filter answers instead of killing: a call that the C library or the runtime makes and can do without. A limit: ENOMEM. */
const ANSWERED = new Set(["EACCES", "ENOTTY", "EAGAIN", "ENOMEM"]);

const here = (name: string) => new URL(`escape/${name}`, import.meta.url).pathname;

const whos: readonly Who[] = Deno.uid() === 0 ? ["ourselves", "user"] : ["ourselves"];

Deno.test("nothing that hostile code tries in a device's place gets out of all of the jail", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-escape-" });
  try {
    const { executable, ...files } = await buildHostile(folder);
    const parts = JSON.stringify({ ...files, policies, columns });
    const ways = {
      "from source": (who: Who) => runAs(who, here("run_attempts.ts"), [parts]),
      "from one executable": (who: Who) => runProgramAs(who, executable, [parts]),
    };
    const all = whos.flatMap((who) =>
      Object.entries(ways).map(([way, run]) => ({ who, way, run }))
    );
    for (const { who, way, run } of all) {
      const kinds = JSON.parse(await run(who)) as Record<string, Results>;
      if (who === "ourselves" && way === "from source") console.log(escapeTable(kinds.blk));
      for (const [kind, results] of Object.entries(kinds)) {
        await t.step(`${kind}, as ${who}, ${way}`, () => {
          const of = (column: Column) => new Map(results[column]);
          assert.deepEqual(escapesOf(results), []);
          const bare = of("permissions");
          assert.ok(bare.size >= 60, `${bare.size} attempts`);
          // They are no straw men: with the runtime's permissions alone most of them get through.
          const through = [...bare.values()].filter((result) => result >= 0).length;
          assert.ok(through > 40, `${through} of ${bare.size} succeed without a jail`);
          // Each part stops something, so that a part that is not there is missed.
          for (const column of ["namespaces", "landlock", "seccomp"] as const) {
            const part = of(column);
            const stopped = [...bare].filter(([name, result]) =>
              result >= 0 && (part.get(name) ?? 0) < 0
            );
            assert.ok(stopped.length >= 5, `${column} stops ${stopped.length}`);
          }
        });
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Memory is that of all, and its engine makes code. */
const LEFT_TO_A_VCPU = ["take a gibibyte of memory", "turn data into code"];
/** It makes sockets in its runtime directory, looks at what is there, and its engine makes code. */
const LEFT_TO_A_MONITOR = [
  ...["make a Unix socket", "make a pair of sockets", "take a gibibyte of memory"],
  ...["look at a file", "look at a file from a folder", "read the host's name"],
  ...["turn data into code", "add a filter", "handle a signal"],
  // By the /proc that hostile code comes from here.
  "read the path of its group",
];

/** System calls and files, of which it has those alone that hostile code is started with. */
const monitorPolicy = (name: string, calls: Policy["calls"]): Policy => ({
  ...policies.blk,
  name,
  user: { is: "own", why: "it stays who it is where it has no root of its own" },
  namespaces: [],
  limits: [],
  measures: [{ measure: "landlock", why: "as it restricts itself" }],
  calls,
});

Deno.test("hostile code in a monitor's place, and on the thread of a vCPU, gets so far and no further", async () => {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-escape-" });
  try {
    const { executable: _, ...files } = await buildHostile(folder);
    const policies = {
      monitor: monitorPolicy("monitor", monitorCalls),
      vcpu: monitorPolicy("vcpu", vcpuCalls),
    };
    const parts = JSON.stringify({ ...files, policies, columns: ["all"] });
    const said = await runAs("ourselves", here("run_attempts.ts"), [parts]);
    const { monitor, vcpu } = JSON.parse(said) as Record<string, Results>;
    assert.deepEqual(escapesOf(vcpu), LEFT_TO_A_VCPU);
    assert.deepEqual(escapesOf(monitor).toSorted(), LEFT_TO_A_MONITOR.toSorted());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("docs/threat-model.md has every attempt, and none that succeeds in all of the jail", async () => {
  const page = await Deno.readTextFile(join(root, "docs/threat-model.md"));
  const rows = [...page.matchAll(/^\| (.+?) +\|(.+)\|$/gm)].map(([, name, cells]) => ({
    name,
    last: cells.split("|").at(-1)?.trim() ?? "",
  }));
  const source = await Deno.readTextFile(here("attempts.c"));
  const names = [...source.matchAll(/^ {4}\{"(.+)", \w+\},$/gm)].map(([, name]) => name);
  const documented = rows.filter(({ name }) => names.includes(name));
  assert.deepEqual(documented.map(({ name }) => name), names);
  const bad = documented.filter(({ last }) =>
    last !== "killed" && !ANSWERED.has(last) && last !== "EBADF"
  );
  assert.deepEqual(bad, []);
});
