// What a worker is let do it also does: without any one permission it does not get through its work.
import assert from "node:assert/strict";
import { bundled } from "../../scripts/build/mod.ts";
import { policies } from "../../src/devices/mod.ts";
import { loads } from "../interop/soak/loads.ts";
import { type Mutation, permissions } from "./mutations.ts";
import { NOT_MET } from "./not_met.ts";

/** Loads that run anywhere, those first that notice most. */
const ORDER = [
  "wl",
  "blk direct",
  "blk direct, no io_uring",
  "blk cached",
  "net stream",
  "vsock",
  "console",
  "rng",
];
const AT_ONCE = 2;
const here = (name: string) => new URL(name, import.meta.url).pathname;

/** How the work ended, or undefined when all was done. */
async function run(
  load: string,
  script: string,
  { change }: Mutation,
): Promise<string | undefined> {
  const kind = load.split(" ")[0] as keyof typeof policies;
  const folder = await Deno.makeTempDir({ dir: "/var/tmp", prefix: "spectrum-rules-" });
  try {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check", here("run_changed.ts")],
        ...[load, folder, script, JSON.stringify(change(policies[kind]))],
      ],
      stdin: "null",
    }).output();
    const text = new TextDecoder();
    return success ? undefined : text.decode(stdout).trim() || text.decode(stderr).trim();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Each mutation once, with the loads of those kinds whose policies have the entry. */
function cases(): { mutation: Mutation; loads: string[] }[] {
  const found = new Map<string, { mutation: Mutation; loads: string[] }>();
  // A source of random numbers has no rules of its own.
  const shared = new Set(policies.rng.calls);
  for (const load of ORDER) {
    const kind = load.split(" ")[0] as keyof typeof policies;
    for (const one of permissions(policies[kind])) {
      const isOwn = one.rule !== undefined && !shared.has(one.rule);
      const mutation = isOwn ? { ...one, name: `${kind}: ${one.name}` } : one;
      const known = found.get(mutation.name);
      if (known === undefined) found.set(mutation.name, { mutation, loads: [load] });
      else known.loads.push(load);
    }
  }
  return [...found.values()];
}

Deno.test("without any one permission some worker does not get through its work", async () => {
  const script = await Deno.makeTempFile({ suffix: ".js" });
  const unnoticed: string[] = [];
  let done = 0;
  try {
    await Deno.writeTextFile(script, await bundled("changed device", here("changed_device.ts")));
    await Deno.chmod(script, 0o644);
    const nothing = { name: "nothing", change: (policy: typeof policies.blk) => policy };
    for (const load of ORDER) assert.equal(await run(load, script, nothing), undefined, load);
    const only = Deno.env.get("SPECTRUM_RULE");
    const left = cases().filter(({ mutation: { name } }) => only === undefined || name === only);
    const all = left.length;
    const work = async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const { mutation, loads } = next;
        let how: string | undefined;
        let by = "";
        for (const load of loads) {
          by = load;
          how = await run(load, script, mutation);
          if (how !== undefined) break;
        }
        if (how === undefined) unnoticed.push(mutation.name);
        console.log(
          `${++done}/${all} ${mutation.name}: ${
            how === undefined ? "not missed" : `missed by ${by} (${how.slice(0, 70)})`
          }`,
        );
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    await Deno.remove(script);
  }
  assert.deepEqual(unnoticed.filter((name) => !(name in NOT_MET)), []);
});

Deno.test("every load is known", () => {
  assert.deepEqual(Object.keys(loads).filter((name) => !ORDER.includes(name)).sort(), [
    "blk device",
    "net tap",
  ]);
});
