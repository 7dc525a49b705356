import assert from "node:assert/strict";
import { join } from "node:path";
import { buildKernel, currentKernel, type KernelBuildOptions } from "./build_kernel.ts";
import { fakeKernelSource } from "./fake_kernel_source.ts";
import type { GuestDriver } from "./guest_driver.ts";
import { kernelBuildDir } from "./kernel_source.ts";
import { missingPackages } from "./toolchain.ts";

const ignore = (await missingPackages()).length > 0;

function driver(option: string, code = ""): GuestDriver {
  return {
    name: "fake",
    files: { Kconfig: `config ${option}\n\tbool "fake"\n`, "fake.c": code, Kbuild: "" },
  };
}

/** A cache folder with the stand-in, and how to build in it; `compiled` gathers what was shown of the compiling. */
async function inCache(
  use: (options: KernelBuildOptions, compiled: number[]) => Promise<void>,
): Promise<void> {
  const cacheDir = await Deno.makeTempDir();
  const compiled: number[] = [];
  try {
    await fakeKernelSource(cacheDir, "6.1.1-1");
    await use({
      cacheDir,
      drivers: [],
      jobs: 1,
      progress: (_step, _fraction, detail) => {
        const files = /^(\d+) of \d+ files$/.exec(detail ?? "")?.[1];
        if (files !== undefined) compiled.push(Number(files));
      },
    }, compiled);
  } finally {
    await Deno.remove(cacheDir, { recursive: true });
  }
}

Deno.test({
  name: "a kernel is built, with its record, images and configuration",
  ignore,
  fn: () =>
    inCache(async (options, compiled) => {
      assert.equal(await currentKernel(options), undefined);
      const kernel = await buildKernel(options);
      assert.deepEqual(compiled, [0, 1, 2, 3]);
      assert.equal(kernel.version, "6.1.1-spectrum-app");
      assert.match(kernel.directory, /\/kernels\/small-app-6\.1\.1-1-[0-9a-f]{12}$/);
      assert.equal(kernel.sizes.bzImage, 6);
      assert.equal((await Deno.stat(kernel.vmlinux)).size, kernel.sizes.vmlinux);
      assert.ok(kernel.sizes.vmlinux <= (await Deno.stat("/bin/true")).size);
      assert.match(await Deno.readTextFile(kernel.config), /^CONFIG_PVH=y$/m);
      assert.ok(Math.abs(Date.parse(kernel.built) - Date.now()) < 60_000);
      assert.deepEqual(await currentKernel(options), kernel);
      const names = [...Deno.readDirSync(join(options.cacheDir, "kernels"))].map((e) => e.name);
      assert.equal(names.length, 1);
    }),
});

Deno.test({
  name: "the same is not built again, something else is",
  ignore,
  fn: () =>
    inCache(async (options, compiled) => {
      const first = await buildKernel(options);
      compiled.length = 0;
      assert.deepEqual(await buildKernel(options), first);
      assert.deepEqual(compiled, []);

      const withDriver = await buildKernel({ ...options, drivers: [driver("FAKE")] });
      assert.notEqual(withDriver.contentHash, first.contentHash);
      assert.match(await Deno.readTextFile(withDriver.config), /^CONFIG_FAKE=y$/m);
      assert.match(await Deno.readTextFile(withDriver.bzImage), /fake/);
      const changed = await buildKernel({ ...options, drivers: [driver("FAKE", "int x;")] });
      assert.notEqual(changed.contentHash, withDriver.contentHash);
      const other = await buildKernel({ ...options, profile: "device" });
      assert.notEqual(other.contentHash, first.contentHash);
      assert.deepEqual(await buildKernel(options), first);
    }),
});

Deno.test({
  name: "an interrupted build goes on where it stopped",
  ignore,
  fn: () =>
    inCache(async (options, compiled) => {
      const control = new AbortController();
      const slow = join(kernelBuildDir(options.cacheDir), "linux-6.1.1-1/source/slow");
      await Deno.writeTextFile(slow, "");
      await assert.rejects(
        buildKernel({
          ...options,
          signal: control.signal,
          progress: (...state) => {
            options.progress(...state);
            if (compiled.at(-1) === 2) control.abort(new Error("that is enough"));
          },
        }),
        /that is enough/,
      );
      assert.equal(await currentKernel(options), undefined);
      await Deno.remove(slow);
      compiled.length = 0;
      await buildKernel(options);
      assert.deepEqual(compiled, [1, 2, 3]);
    }),
});

Deno.test({
  name: "an option that is lost fails the build, by name",
  ignore,
  fn: () =>
    inCache(async (options) => {
      await assert.rejects(
        buildKernel({ ...options, drivers: [driver("LOST")] }),
        /CONFIG_LOST: asked for y, is n/,
      );
    }),
});

Deno.test({
  name: "two builds at once: the second waits and finds the first one's kernel",
  ignore,
  fn: () =>
    inCache(async (options, compiled) => {
      const steps: string[] = [];
      const [first, second] = await Promise.all([
        buildKernel(options),
        buildKernel({ ...options, progress: (step) => steps.push(step) }),
      ]);
      assert.deepEqual(first, second);
      // Which of them was first is not ours to say.
      const waited = ["waiting for another process that builds a kernel"];
      if (compiled.length > 0) assert.deepEqual(steps, waited);
      else assert.ok(steps.length > 1);
    }),
});

Deno.test({
  name: "a newer source in the cache is what is built",
  ignore,
  fn: () =>
    inCache(async (options) => {
      const old = new Date(Date.now() - 100_000);
      const tree = join(kernelBuildDir(options.cacheDir), "linux-6.1.1-1", "source");
      await Deno.utime(tree, old, old);
      await fakeKernelSource(options.cacheDir, "6.1.2-1");
      assert.equal((await buildKernel(options)).sourceVersion, "6.1.2-1");
    }),
});
