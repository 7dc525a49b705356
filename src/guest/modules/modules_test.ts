import assert from "node:assert/strict";
import { join } from "node:path";
import { cacheDir } from "../cache_dir.ts";
import { debianKernel, type GuestKernel } from "../kernel/mod.ts";
import { ModuleIndex, ModuleMissingError, moduleName } from "./module_index.ts";
import { ModuleFormatError, readModuleInfo } from "./module_info.ts";

/** A folder with index files of these texts. */
async function withIndex(
  files: Record<string, string>,
  body: (index: ModuleIndex) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(join(folder, name), content);
    }
    await body(await ModuleIndex.read(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("what a module needs is loaded before it, each once", async () => {
  await withIndex({
    "modules.dep": "k/c.ko: k/b.ko k/a.ko\nk/b.ko: k/a.ko\nk/a.ko:\nk/d-e.ko: k/a.ko\n",
  }, (index) => {
    assert.deepEqual(index.closure(["c", "d_e"]), ["k/a.ko", "k/b.ko", "k/c.ko", "k/d-e.ko"]);
    assert.deepEqual(index.closure(["d-e"]), ["k/a.ko", "k/d-e.ko"]);
  });
});

Deno.test("what is wished for before a module is loaded where it exists", async () => {
  await withIndex({
    "modules.dep": "k/fs.ko:\nk/crc-fast.ko: k/base.ko\nk/base.ko:\n",
    "modules.softdep": "# Soft\nsoftdep fs pre: crc_fast nosuch post: other\n",
  }, (index) => {
    assert.deepEqual(index.closure(["fs"]), ["k/base.ko", "k/crc-fast.ko", "k/fs.ko"]);
  });
});

Deno.test("what is built in needs no loading, what is missing is named", async () => {
  await withIndex({ "modules.builtin": "kernel/fs/ext4/ext4.ko\n" }, (index) => {
    assert.deepEqual(index.closure(["ext4"]), []);
    assert.ok(index.has("ext4"));
    assert.throws(() => index.closure(["floppy"]), (error: unknown) => {
      assert.ok(error instanceof ModuleMissingError);
      assert.equal(error.module, "floppy");
      return true;
    });
  });
});

Deno.test("names do not tell - from _, nor compressed files from plain ones", () => {
  assert.equal(moduleName("kernel/arch/x86/kvm/kvm-amd.ko"), "kvm_amd");
  assert.equal(moduleName("kernel/x/y.ko.xz"), "y");
});

Deno.test("files that are no modules are refused, wherever they are cut", () => {
  assert.throws(() => readModuleInfo(new Uint8Array(10), "x.ko"), ModuleFormatError);
  const header = new Uint8Array(64);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x7f454c46);
  view.setBigUint64(0x28, 1n << 40n, true);
  view.setUint16(0x3a, 64, true);
  view.setUint16(0x3c, 4, true);
  assert.throws(() => readModuleInfo(header, "x.ko"), /section table outside/);
});

const kernel = await debianKernel(cacheDir());

/** What busybox' depmod finds in a kernel's modules, undefined without busybox. */
async function depmod(kernel: GuestKernel): Promise<Map<string, Set<string>> | undefined> {
  const base = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(base, "lib"));
    await Deno.symlink(join(kernel.directory, "lib", "modules"), join(base, "lib", "modules"));
    const { success, stdout } = await new Deno.Command("busybox", {
      args: ["depmod", "-n", "-b", base, kernel.version],
    }).output();
    return success ? needs(new TextDecoder().decode(stdout)) : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

/** Paths of modules and what each needs; busybox prints aliases behind them. */
function needs(text: string): Map<string, Set<string>> {
  return new Map(
    text.split("\n").filter((line) => line.startsWith("kernel/")).map((line) => {
      const [path, list] = line.split(":");
      return [path, new Set(list.split(" ").filter((word) => word !== ""))];
    }),
  );
}

const theirs = kernel === undefined ? undefined : await depmod(kernel);

Deno.test({
  name: "our modules.dep of Debian's kernel is that of another depmod",
  ignore: theirs === undefined,
  async fn() {
    assert.ok(kernel !== undefined && theirs !== undefined);
    const ours = needs(await Deno.readTextFile(join(kernel.modulesDir, "modules.dep")));
    assert.ok(ours.size > 500);
    assert.deepEqual(ours, theirs);
  },
});

Deno.test({
  name: "an order for Debian's kernel has nothing before what it needs",
  ignore: kernel === undefined,
  async fn() {
    assert.ok(kernel !== undefined);
    const index = await ModuleIndex.read(kernel.modulesDir);
    const order = index.closure([
      "virtio_pci",
      "virtio_blk",
      "virtio_net",
      "kvm-amd",
      "overlay",
      "nf_tables",
    ]);
    assert.ok(order.length > 10);
    for (const [at, path] of order.entries()) {
      const info = readModuleInfo(await Deno.readFile(join(kernel.modulesDir, path)), path);
      for (const other of info.depends) {
        const before = order.slice(0, at).some((earlier) =>
          moduleName(earlier) === moduleName(other)
        );
        assert.ok(
          before || index.closure([other]).length === 0,
          `${path} is loaded before ${other}`,
        );
      }
    }
  },
});
