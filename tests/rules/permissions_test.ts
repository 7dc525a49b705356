// What a worker is let do it also does: without any one permission it does not get through its work.
import assert from "node:assert/strict";
import { policies } from "../../src/devices/mod.ts";
import { loads } from "../interop/soak/loads.ts";
import { buildScript, type Exercise, exercises } from "./exercises.ts";
import { type Mutation, permissions } from "./mutations.ts";
import { NOT_MET } from "./not_met.ts";

const AT_ONCE = 2;
/** What comes about by chance may not the first time. */
const TRIES = 3;

/** A permission, and the exercises of the kinds that have it. */
interface Case {
  readonly mutation: Mutation;
  readonly exercises: Exercise[];
}

/** Each mutation once. */
function cases(): Case[] {
  const found = new Map<string, Case>();
  // A source of random numbers has no rules of its own.
  const shared = new Set(policies.rng.calls);
  for (const exercise of exercises) {
    const { kind } = exercise;
    for (const one of permissions(policies[kind])) {
      const isOwn = one.rule !== undefined && !shared.has(one.rule);
      const mutation = isOwn ? { ...one, name: `${kind}: ${one.name}` } : one;
      const known = found.get(mutation.name);
      if (known === undefined) found.set(mutation.name, { mutation, exercises: [exercise] });
      else known.exercises.push(exercise);
    }
  }
  return [...found.values()];
}

/** Who misses a permission, and how; undefined when nobody does. */
async function missing(
  { mutation, exercises }: Case,
  script: string,
): Promise<string | undefined> {
  const tries = mutation.name in NOT_MET ? 1 : TRIES;
  for (let i = 0; i < tries; i++) {
    for (const exercise of exercises) {
      const how = await exercise.run(mutation.change(policies[exercise.kind]), script);
      if (how !== undefined) return `${exercise.name} (${how.split("\n")[0].slice(0, 70)})`;
    }
  }
}

Deno.test({
  name: "without any one permission some worker does not get through its work",
  // Taps and block devices.
  ignore: Deno.uid() !== 0,
  async fn() {
    const script = await Deno.makeTempFile({ suffix: ".js" });
    const unnoticed: string[] = [];
    const start = performance.now();
    try {
      await buildScript(script);
      for (const { name, kind, run } of exercises) {
        assert.equal(await run(policies[kind], script), undefined, name);
        console.log(`${name}: gets through with all permissions`);
      }
      const only = Deno.env.get("SPECTRUM_RULE");
      const left = cases().filter(({ mutation: { name } }) => only === undefined || name === only);
      const all = left.length;
      assert.ok(all > 0, `There is no permission "${only}"`);
      let done = 0;
      const work = async () => {
        for (let next = left.shift(); next !== undefined; next = left.shift()) {
          const { name } = next.mutation;
          const by = await missing(next, script);
          if (by === undefined) unnoticed.push(name);
          const verdict = by !== undefined
            ? `missed by ${by}`
            : name in NOT_MET
            ? "not missed here, as is known"
            : "NOT MISSED";
          const seconds = Math.round((performance.now() - start) / 1000);
          console.log(`${++done}/${all} ${seconds} s  ${name}: ${verdict}`);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      console.log(`${all - unnoticed.length} missed, ${unnoticed.length} not: ${unnoticed}`);
    } finally {
      await Deno.remove(script);
    }
    assert.deepEqual(unnoticed.filter((name) => !(name in NOT_MET)), []);
  },
});

Deno.test("every load is an exercise, and what nobody misses is a permission", () => {
  const exercised = exercises.map(({ name }) => name);
  assert.deepEqual(Object.keys(loads).filter((name) => !exercised.includes(name)), []);
  const names = cases().map(({ mutation }) => mutation.name);
  assert.deepEqual(Object.keys(NOT_MET).filter((name) => !names.includes(name)), []);
});
