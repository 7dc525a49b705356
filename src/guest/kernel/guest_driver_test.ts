import assert from "node:assert/strict";
import { join } from "node:path";
import { guestDrivers } from "./drivers.ts";
import { driversFragment, type GuestDriver, hookDrivers, installDrivers } from "./guest_driver.ts";

const hello: GuestDriver = {
  name: "hello",
  files: {
    Kbuild: "obj-$(CONFIG_HELLO) += hello.o\n",
    Kconfig: 'config HELLO\n\tbool "Says hello"\n\ncomment "config NOT_THIS"\n',
    "hello.c": "// one\n",
  },
};

/** The two files of a kernel's source that the hook adds a line to. */
async function fakeTree(): Promise<string> {
  const tree = await Deno.makeTempDir();
  await Deno.mkdir(join(tree, "drivers"));
  await Deno.writeTextFile(join(tree, "drivers/Kconfig"), 'menu "Device Drivers"\nendmenu\n');
  await Deno.writeTextFile(join(tree, "drivers/Makefile"), "obj-y += pci/\n");
  return tree;
}

Deno.test("the hook is added once", async () => {
  const tree = await fakeTree();
  try {
    await hookDrivers(tree);
    const text = await Deno.readTextFile(join(tree, "drivers/Makefile"));
    assert.match(text, /^obj-y \+= pci\/\n/);
    assert.match(text, /\nobj-y \+= spectrum\/\n$/);
    await hookDrivers(tree);
    assert.equal(await Deno.readTextFile(join(tree, "drivers/Makefile")), text);
    assert.match(
      await Deno.readTextFile(join(tree, "drivers/Kconfig")),
      /\nsource "drivers\/spectrum\/Kconfig"\n$/,
    );
    assert.equal(await Deno.readTextFile(join(tree, "drivers/spectrum/Kconfig")), "");
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
});

Deno.test("drivers come, change and go; what stays the same is not touched", async () => {
  const tree = await fakeTree();
  const file = (name: string) => join(tree, "drivers/spectrum", name);
  try {
    await hookDrivers(tree);
    await installDrivers(tree, [hello]);
    assert.equal(await Deno.readTextFile(file("Makefile")), "obj-y += hello/\n");
    assert.equal(
      await Deno.readTextFile(file("Kconfig")),
      'source "drivers/spectrum/hello/Kconfig"\n',
    );
    const before = new Date(1_000_000);
    for (const name of ["Makefile", "hello/hello.c", "hello/Kbuild"]) {
      await Deno.utime(file(name), before, before);
    }
    const changed = { ...hello, files: { ...hello.files, "hello.c": "// two\n", "more.h": "\n" } };
    await installDrivers(tree, [changed]);
    const time = async (name: string) => (await Deno.stat(file(name))).mtime?.getTime();
    assert.equal(await time("Makefile"), before.getTime());
    assert.equal(await time("hello/Kbuild"), before.getTime());
    assert.notEqual(await time("hello/hello.c"), before.getTime());
    assert.equal(await Deno.readTextFile(file("hello/hello.c")), "// two\n");

    await installDrivers(tree, [hello]);
    await assert.rejects(Deno.stat(file("hello/more.h")), Deno.errors.NotFound);
    await installDrivers(tree, []);
    await assert.rejects(Deno.stat(file("hello")), Deno.errors.NotFound);
    assert.equal(await Deno.readTextFile(file("Makefile")), "");
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
});

Deno.test("a driver's options are asked for", () => {
  assert.equal(driversFragment([hello]), "# Our driver hello.\nCONFIG_HELLO=y\n");
  assert.equal(driversFragment([]), "");
});

Deno.test("every driver's folder is built in, with all of its files", async () => {
  const room = new URL("..", import.meta.url).pathname;
  const folders: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(room)) {
    if (isDirectory && await exists(join(room, name, "Kbuild"))) folders.push(name);
  }
  assert.deepEqual(guestDrivers.map(({ name }) => name).sort(), folders.sort());
  for (const { name, files } of guestDrivers) {
    const onDisk: Record<string, string> = {};
    for await (const entry of Deno.readDir(join(room, name))) {
      if (!/^(Kbuild|Kconfig|.*\.[chS])$/.test(entry.name)) continue;
      onDisk[entry.name] = await Deno.readTextFile(join(room, name, entry.name));
    }
    assert.deepEqual({ ...files }, onDisk, name);
  }
});

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
