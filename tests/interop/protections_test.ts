// Each entry of a policy that keeps a worker from something does: without it some attempt to escape gets further.
import assert from "node:assert/strict";
import { policies } from "../../src/devices/mod.ts";
import type { Policy } from "../../src/sandbox/mod.ts";
import { type Mutation, protections } from "../rules/mutations.ts";
import { buildHostile } from "./escape/build_hostile.ts";
import type { Column } from "./escape/columns.ts";
import type { Results } from "./escape/table.ts";
import { STOPPED } from "./escape/stopped.ts";

const script = new URL("escape/run_attempts.ts", import.meta.url).pathname;
const isRoot = Deno.uid() === 0;
/** What an entry keeps back must be there to be missed: root may allow itself more, unless it is a container's. */
const MORE = ["prlimit", "--nice=40", "--rtprio=99"];
const mayHaveMore = isRoot && new Deno.Command("prlimit", { args: [...MORE.slice(1), "true"] })
  .outputSync().success;
const RIGHTS = mayHaveMore ? MORE : [];
/** What shows for root alone, which has capabilities. */
const OF_ROOT = ["measure no capabilities"];
/** What shows only where there is more. */
const OF_MORE = ["limit niceness", "limit real-time priority"];
/** Memory of a worker that runs shows it (device_worker_test.ts), or no ordinary user's worker starts (soak_test.ts). */
const ELSEWHERE = ["measure no new code", "namespace user"];

/** Policies that go into the arguments of one process. */
const AT_ONCE = 6;

/** With what else of the jail an entry is to show. */
function columnOf(name: string): Column {
  if (name.startsWith("namespace ")) return "namespaces";
  if (name === "measure landlock") return "landlock";
  if (name === "measure no capabilities") return "capabilities";
  return /^(limit|measure) /.test(name) ? "no calls" : "seccomp";
}

function shows(name: string): boolean {
  if (ELSEWHERE.includes(name)) return false;
  return (mayHaveMore || !OF_MORE.includes(name)) && (isRoot || !OF_ROOT.includes(name));
}

type All = Record<string, Results>;

/** Makes the attempts under each of some policies. */
async function attempt(
  files: object,
  policies: Record<string, Policy>,
  column: Column,
): Promise<All> {
  const parts = JSON.stringify({ ...files, policies, columns: [column] });
  const flags = ["run", "-A", "--no-check", "--no-lock", script, parts];
  const [command, ...args] = [...RIGHTS, Deno.execPath(), ...flags];
  const { success, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" })
    .output();
  const text = new TextDecoder();
  if (!success) throw new Error(text.decode(stderr));
  return JSON.parse(text.decode(stdout));
}

/** Those of all kinds, each once, with a policy that has it. */
function all(): { policy: Policy; mutation: Mutation }[] {
  const found = new Map<string, { policy: Policy; mutation: Mutation }>();
  for (const policy of Object.values(policies)) {
    for (const mutation of protections(policy)) {
      if (!found.has(mutation.name)) found.set(mutation.name, { policy, mutation });
    }
  }
  return [...found.values()];
}

Deno.test("without any one entry that keeps a worker from something, it gets further", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-escape-" });
  try {
    const { executable: _, ...files } = await buildHostile(folder);
    for (
      const column of ["namespaces", "landlock", "capabilities", "no calls", "seccomp"] as const
    ) {
      const shown = all().filter(({ mutation: { name } }) =>
        columnOf(name) === column && shows(name)
      );
      for (let i = 0; i < shown.length; i += AT_ONCE) {
        const some = shown.slice(i, i + AT_ONCE);
        const list: Record<string, Policy> = {};
        for (const { policy, mutation } of some) {
          list[policy.name] = policy;
          list[mutation.name] = mutation.change(policy);
        }
        const results = await attempt(files, list, column);
        for (const { policy, mutation: { name } } of some) {
          await t.step(name, () => {
            const before = new Map(results[policy.name][column]);
            const further = (results[name][column] ?? [])
              .filter(([attempt, result]) => result >= 0 && (before.get(attempt) ?? 0) < 0)
              .map(([attempt]) => attempt);
            assert.ok(further.includes(STOPPED[name]), `${name}: ${further}`);
          });
        }
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("it is known of every such entry what it stops", () => {
  const names = all().map(({ mutation: { name } }) => name).filter((name) =>
    !ELSEWHERE.includes(name)
  );
  assert.deepEqual(names.sort(), Object.keys(STOPPED).sort());
});
