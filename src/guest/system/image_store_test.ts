import assert from "node:assert/strict";
import { join } from "node:path";
import { ImageError } from "./image_error.ts";
import type { ImageRecord } from "./image_record.ts";
import { ImageStore } from "./image_store.ts";
import { VmSystem } from "./vm_system.ts";

const MIB = 2 ** 20;
const hash = (digit: string) => digit.repeat(64);
const idle = () => false;

/** Somewhere with an image `web` whose content has the hash of ones. */
async function withStore(body: (store: ImageStore) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const store = new ImageStore(folder);
    await build(store, "web", hash("1"));
    await body(store);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** As a build ends. */
async function build(store: ImageStore, name: string, base: string): Promise<void> {
  using _lock = await store.lock();
  await Deno.writeTextFile(store.basePath(base), base);
  const record: ImageRecord = {
    ...{ name, base, size: 64, built: "2026-01-01T00:00:00.000Z", recipe: "r" },
    ...{ packages: [], release: "bookworm", versions: {} },
  };
  await store.set(record);
  await store.collect();
}

async function start(
  store: ImageStore,
  vm: string,
  more: { image?: string; disposable?: boolean; size?: number } = {},
): Promise<VmSystem> {
  const system = await VmSystem.find(store, { vm, image: "web", disposable: false, ...more });
  await system.makeReady();
  return system;
}

const bases = (store: ImageStore) => [...Deno.readDirSync(store.bases)].map(({ name }) => name);
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof ImageError && error.fault === "usage" && pattern.test(error.message);

Deno.test("an image stays while it has a name, and the one that it replaces goes", async () => {
  await withStore(async (store) => {
    await build(store, "web", hash("2"));
    assert.deepEqual(bases(store), [`${hash("2")}.erofs`]);
    await build(store, "same", hash("2"));
    await store.remove("web");
    assert.deepEqual(bases(store), [`${hash("2")}.erofs`]);
    await store.remove("same");
    assert.deepEqual(bases(store), []);
    await assert.rejects(store.remove("same"), refused(/There is no image "same"/));
  });
});

Deno.test("what a VM writes has a place, and keeps the base that it is on top of", async () => {
  await withStore(async (store) => {
    const first = await start(store, "one");
    assert.equal(first.base, store.basePath(hash("1")));
    const { size, blocks, mode } = await Deno.stat(first.overlay);
    assert.equal(size, 10 * 2 ** 30);
    assert.ok((blocks ?? 0) * 512 < 16 * MIB, `${blocks} blocks`);
    assert.equal((mode ?? 0) & 0o777, 0o600);
    await e2fsck(first.overlay);

    await build(store, "web", hash("2"));
    assert.deepEqual(bases(store).sort(), [`${hash("1")}.erofs`, `${hash("2")}.erofs`]);
    const again = await start(store, "one");
    assert.equal(again.base, store.basePath(hash("1")));
    assert.match(again.note ?? "", /newer build of the image "web".*spectrum image reset one/);
    assert.equal((await start(store, "two")).base, store.basePath(hash("2")));
    const [{ vms }] = await store.list();
    assert.deepEqual(vms.map(({ vm, base }) => [vm, base[0]]), [["one", "1"], ["two", "2"]]);

    await assert.rejects(store.remove("web"), refused(/one, two.*image reset one two/));
    await assert.rejects(store.reset("one", () => true), refused(/"one" runs.*spectrum stop one/));
    await store.reset("one", idle);
    assert.deepEqual(bases(store), [`${hash("2")}.erofs`]);
    assert.equal((await start(store, "one")).note, undefined);
    await assert.rejects(store.reset("three", idle), refused(/keeps no changes/));
  });
});

Deno.test("an overlay grows, does not shrink, and belongs to one image", async () => {
  await withStore(async (store) => {
    const { overlay } = await start(store, "one", { size: 64 * MIB });
    await start(store, "one", { size: 128 * MIB });
    assert.equal((await Deno.stat(overlay)).size, 128 * MIB);
    await start(store, "one");
    assert.equal((await Deno.stat(overlay)).size, 128 * MIB);
    await assert.rejects(start(store, "one", { size: 64 * MIB }), refused(/cannot become smaller/));
    await build(store, "db", hash("3"));
    await assert.rejects(
      start(store, "one", { image: "db" }),
      refused(/on top of the image "web", not of "db".*spectrum image reset one/),
    );
    await assert.rejects(start(store, "one", { image: "no" }), refused(/not of "no"/));
    await assert.rejects(
      start(store, "new", { image: "no" }),
      refused(/no image "no".*There are: db, web\. Build it: spectrum image build no/),
    );
  });
});

Deno.test("what a disposable VM writes is new each time, and no record holds its base", async () => {
  await withStore(async (store) => {
    const { overlay } = await start(store, "one", { disposable: true });
    await Deno.writeTextFile(overlay, "changed");
    await start(store, "one", { disposable: true });
    await e2fsck(overlay);
    assert.equal(await store.overlay("one"), undefined);
    await store.remove("web");
    assert.deepEqual(bases(store), []);
  });
});

Deno.test("a lost base and a damaged record are told, with what to do", async () => {
  await withStore(async (store) => {
    await Deno.remove(store.basePath(hash("1")));
    await assert.rejects(
      start(store, "one"),
      /is missing\. Build it again: spectrum image build web/,
    );
    await Deno.writeTextFile(join(store.dataDir, "images", "web.json"), '{"name":"web"}');
    await assert.rejects(start(store, "one"), /web\.json is damaged\. Remove it\./);
  });
});

async function e2fsck(path: string): Promise<void> {
  const { success, stdout } = await new Deno.Command("/usr/sbin/e2fsck", { args: ["-fn", path] })
    .output();
  assert.ok(success, new TextDecoder().decode(stdout));
}
