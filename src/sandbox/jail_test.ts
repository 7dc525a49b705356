import assert from "node:assert/strict";
import type { Policy } from "./mod.ts";
import { payload } from "../os/mod.ts";
import { pathsOf } from "./jail_files.ts";
import { runAs, type Who } from "./testing.ts";

const script = new URL("./testdata/jail_report.ts", import.meta.url).pathname;
const why = "a test";

/** One of everything. */
const everything: Policy = {
  name: "test",
  user: { is: "own", why },
  descriptors: [],
  namespaces: (["user", "mount", "process", "network", "ipc", "host name", "cgroup"] as const)
    .map((namespace) => ({ namespace, why })),
  files: [
    { file: "runtime", right: "execute", why },
    { file: "loader", right: "execute", why },
    { file: "libraries", right: "read", why },
    { file: "shim", right: "read", why },
    { file: "bundle", right: "read", why },
    { file: "proc", right: "read", why },
  ],
  limits: [
    { resource: "data", most: 2 ** 30, why },
    { resource: "processes", most: 300, why },
    { resource: "message queues", most: 0, why },
    { resource: "niceness", most: 0, why },
    { resource: "real-time priority", most: 0, why },
  ],
  measures: [{ measure: "no capabilities", why }, { measure: "landlock", why }],
  calls: [],
};

const isRoot = Deno.uid() === 0;
/** Tests run as root, or as a user who cannot become another. */
const whos: readonly Who[] = isRoot
  ? ["ourselves", "user", "container"]
  : ["ourselves", "container"];

async function report(who: Who, policy: Policy, sandbox = "full") {
  return JSON.parse(await runAs(who, script, [JSON.stringify({ policy, sandbox })]));
}

for (const who of whos) {
  const asRoot = isRoot && who === "ourselves";

  Deno.test(`a jail is all that its policy says, and no more, for ${who}`, async () => {
    const seen = await report(who, everything);
    const { pid, starter, users, groups, moreGroups, files, ...rest } = seen;
    const ids = asRoot
      ? [0x7000_0000 + starter, 0x7000_0000 + starter]
      : { ourselves: [Deno.uid(), Deno.gid()], user: [1000, 1000], container: [0, 0] }[who];
    assert.deepEqual([users, groups], ids.map((id) => Array(4).fill(id)));
    // An ordinary user cannot leave groups, which are worth nothing without paths.
    if (asRoot) assert.equal(moreGroups, "");
    const separate = ["mnt", "pid", "net", "ipc", "uts", "cgroup"];
    assert.deepEqual(rest, {
      parent: starter,
      separate: asRoot ? separate : [...separate, "user"],
      capabilities: Array(5).fill("0000000000000000"),
      noNewPrivileges: "1",
      innerPid: "1",
      limits: { data: "1073741824", processes: "300", queues: "0", niceness: "0", realTime: "0" },
      isRootApart: true,
      writable: [],
      end: { signal: 9 },
      outlives: false,
    }, `process ${pid}`);
    const { device, shim } = payload();
    const wanted = [
      ...(who === "user" ? [] : [device[0]]),
      ...[...pathsOf("loader"), ...pathsOf("libraries"), shim, device[device.length - 1], "/proc"],
    ];
    // Of a user's own copy we do not know the name.
    const found = (files as string[]).filter((path) => who !== "user" || !/\/deno$/.test(path));
    assert.deepEqual(found.sort(), wanted.sort());
  });
}

Deno.test("a jail without one entry of its policy is seen to lack it", async (t) => {
  const without = async (change: Partial<Policy>) =>
    await report("ourselves", { ...everything, ...change });
  const kernelNames = {
    "process": "pid",
    "network": "net",
    "ipc": "ipc",
    "host name": "uts",
    "cgroup": "cgroup",
  } as const;
  for (const [name, kernelName] of Object.entries(kernelNames)) {
    await t.step(`namespace ${name}`, async () => {
      const namespaces = everything.namespaces.filter(({ namespace }) => namespace !== name);
      // A /proc of the host's processes is not for a root that shows one.
      const files = everything.files.filter(({ file }) => name !== "process" || file !== "proc");
      const { separate } = await without({ namespaces, files });
      assert.equal(separate.includes(kernelName), false);
    });
  }
  await t.step("the root", async () => {
    const namespaces = everything.namespaces.filter(({ namespace }) => namespace !== "mount");
    assert.equal((await without({ namespaces })).isRootApart, false);
  });
  await t.step("capabilities", async () => {
    const { capabilities } = await without({
      measures: [],
      namespaces: [],
      user: { is: "own", why },
    });
    assert.notDeepEqual(capabilities, Array(5).fill("0000000000000000"));
  });
  await t.step("limits", async () => {
    const { limits } = await without({ limits: [] });
    for (const name of ["data", "processes", "queues"]) {
      assert.notEqual(limits[name], { data: "1073741824", processes: "300", queues: "0" }[name]);
    }
  });
});

Deno.test("a reduced jail has no namespaces, and what else there is", async () => {
  const { separate, capabilities, noNewPrivileges, limits, files } = await report(
    "ourselves",
    everything,
    "reduced",
  );
  assert.deepEqual(separate, []);
  assert.deepEqual(files, []);
  assert.equal(noNewPrivileges, "1");
  if (isRoot) assert.deepEqual(capabilities, Array(5).fill("0000000000000000"));
  assert.equal(limits.data, "1073741824");
});
