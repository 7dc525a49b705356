import assert from "node:assert/strict";
import { join } from "node:path";
import { cacheDir } from "../cache_dir.ts";
import { readModuleInfo } from "../modules/mod.ts";
import { silent } from "../progress.ts";
import { buildDebianModule, type ModuleBuildOptions } from "./build_debian_module.ts";
import { debianKernel, kernelsDir } from "./debian_kernel.ts";
import { guestDrivers } from "./drivers.ts";
import { KernelBuildError } from "./kernel_build_error.ts";

const kernel = await debianKernel(cacheDir());

Deno.test({
  name: "our drivers are modules for Debian's kernel, without a warning",
  ignore: kernel === undefined,
  async fn() {
    assert.ok(kernel !== undefined);
    for (const driver of guestDrivers) {
      const options: ModuleBuildOptions = {
        ...{ cacheDir: cacheDir(), kernel, driver },
        ...{ progress: silent, strict: true },
      };
      const path = await buildDebianModule(options);
      const { aliases } = readModuleInfo(await Deno.readFile(path), path);
      assert.ok(aliases.length > 0, `${driver.name} is loaded for no device`);
      assert.equal(await buildDebianModule(options), path);
    }
  },
});

Deno.test({
  name: "a driver that does not compile leaves nothing behind, and its error says why",
  ignore: kernel === undefined,
  async fn() {
    assert.ok(kernel !== undefined);
    const driver = {
      name: "broken",
      files: {
        Kbuild: "obj-$(CONFIG_BROKEN) += broken.o\n",
        Kconfig: 'config BROKEN\n\ttristate "Broken"\n',
        "broken.c": "int x = nonsense;\n",
      },
    };
    await assert.rejects(
      buildDebianModule({ cacheDir: cacheDir(), kernel, driver, progress: silent }),
      (error: unknown) => error instanceof KernelBuildError && /nonsense/.test(`${error.stack}`),
    );
    const left = [];
    for await (
      const { name } of Deno.readDir(join(kernelsDir(cacheDir()), `modules-${kernel.version}`))
    ) {
      if (/^(\.building|broken)/.test(name)) left.push(name);
    }
    assert.deepEqual(left, []);
  },
});
