import assert from "node:assert/strict";
import { join } from "node:path";
import { moduleEntries } from "./module_entries.ts";
import { rootInitrd } from "./root_initrd.ts";

/** A kernel's modules: a disk, one file system, and what they need. */
async function withModules(
  body: (modulesDir: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const modulesDir = join(folder, "modules");
    await Deno.mkdir(join(modulesDir, "k"), { recursive: true });
    for (const name of ["virtio", "virtio_pci", "virtio_blk", "squashfs", "zip"]) {
      await Deno.writeTextFile(join(modulesDir, "k", `${name}.ko`), name);
    }
    await Deno.writeTextFile(
      join(modulesDir, "modules.dep"),
      "k/virtio.ko:\nk/virtio_pci.ko: k/virtio.ko\nk/virtio_blk.ko: k/virtio.ko\nk/squashfs.ko: k/zip.ko\nk/zip.ko:\n",
    );
    await Deno.writeTextFile(join(modulesDir, "modules.builtin"), "k/ext4.ko\n");
    await body(modulesDir, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("lists of modules: those to load, and one for each to load if need be", async () => {
  await withModules(async (modulesDir) => {
    const entries = await moduleEntries(modulesDir, {
      needed: ["virtio_blk"],
      wanted: ["virtio_pci", "no-such"],
      onDemand: ["squashfs", "ext4", "xfs"],
    });
    const text = (path: string) => {
      const entry = entries.find((entry) => entry.path === path);
      return entry?.kind === "file" ? new TextDecoder().decode(entry.data) : undefined;
    };
    assert.equal(text("modules/order"), "k/virtio.ko\nk/virtio_blk.ko\nk/virtio_pci.ko\n");
    assert.equal(text("modules/squashfs.order"), "k/zip.ko\nk/squashfs.ko\n");
    assert.equal(text("modules/ext4.order"), "");
    assert.equal(text("modules/xfs.order"), undefined);
    assert.equal(text("modules/k/zip.ko"), "zip");
    const paths = entries.map(({ path }) => path);
    assert.equal(new Set(paths).size, paths.length);
  });
});

Deno.test("the root's initrd is made once, and anew for another init or kernel", async () => {
  await withModules(async (modulesDir, folder) => {
    const init = join(folder, "init");
    const make = () => rootInitrd({ cacheDir: folder, modulesDir, init, agent: init });
    await Deno.writeTextFile(init, "1");
    const first = await make();
    const { ino } = await Deno.stat(first);
    assert.equal(await make(), first);
    assert.equal((await Deno.stat(first)).ino, ino);
    await Deno.writeTextFile(init, "2");
    const second = await make();
    assert.notEqual(second, first);
    await Deno.writeTextFile(
      join(modulesDir, "modules.dep"),
      "k/virtio_pci.ko:\nk/virtio_blk.ko:\n",
    );
    assert.notEqual(await make(), second);
    // Nothing half made is left.
    assert.deepEqual(
      [...Deno.readDirSync(join(folder, "initrds"))].filter(({ name }) => name.startsWith(".")),
      [],
    );
  });
});

Deno.test("of many initrds the last used stay", async () => {
  await withModules(async (modulesDir, folder) => {
    const init = join(folder, "init");
    for (let i = 0; i < 12; i++) {
      await Deno.writeTextFile(init, String(i));
      await rootInitrd({ cacheDir: folder, modulesDir, init, agent: init });
    }
    assert.equal([...Deno.readDirSync(join(folder, "initrds"))].length, 8);
  });
});
