import assert from "node:assert/strict";
import { join } from "node:path";
import { KERNEL_RECORD } from "./debian_kernel.ts";
import { listKernels } from "./list_kernels.ts";
import type { Profile } from "./profiles.ts";
import { KernelNameError, resolveKernel } from "./resolve_kernel.ts";
import {
  markNewest,
  readSmallKernel,
  SMALL_KERNEL_RECORD,
  smallKernelDir,
  type SmallKernelRecord,
} from "./small_kernel.ts";

async function inCache(use: (cacheDir: string) => Promise<void>): Promise<void> {
  const cacheDir = await Deno.makeTempDir();
  try {
    await use(cacheDir);
  } finally {
    await Deno.remove(cacheDir, { recursive: true });
  }
}

/** Writes a kernel of ours into a cache folder; `age` in seconds. */
async function addSmall(
  cacheDir: string,
  profile: Profile,
  hash: string,
  age: number,
): Promise<string> {
  const record: SmallKernelRecord = {
    profile,
    sourceVersion: "6.1.1-1",
    contentHash: hash.repeat(64),
    built: "2026-01-01T00:00:00Z",
    sizes: { vmlinux: 1234, bzImage: 56 },
  };
  const directory = smallKernelDir(cacheDir, record);
  await Deno.mkdir(directory, { recursive: true });
  const file = join(directory, SMALL_KERNEL_RECORD);
  await Deno.writeTextFile(file, JSON.stringify(record));
  const time = new Date(Date.now() - age * 1000);
  await Deno.utime(file, time, time);
  return directory;
}

async function addDebian(cacheDir: string, packageVersion: string): Promise<string> {
  const version = `6.1.0-${packageVersion}-cloud-amd64`;
  const directory = join(cacheDir, "kernels", `debian-${version}`);
  await Deno.mkdir(join(directory, "boot"), { recursive: true });
  await Deno.writeTextFile(
    join(directory, KERNEL_RECORD),
    JSON.stringify({ version, packageVersion }),
  );
  await Deno.writeTextFile(join(directory, "boot", `vmlinuz-${version}`), "image");
  return directory;
}

Deno.test("a path is a path", () =>
  inCache(async (cacheDir) => {
    assert.deepEqual(await resolveKernel("./small", cacheDir), {
      description: "./small",
      path: "./small",
    });
  }));

Deno.test("small is the newest build of its profile", () =>
  inCache(async (cacheDir) => {
    const old = await addSmall(cacheDir, "app", "a", 100);
    const newest = await addSmall(cacheDir, "app", "b", 10);
    const device = await addSmall(cacheDir, "device", "c", 1);
    const path = async (name: string, onlyProvides = false) =>
      (await resolveKernel(name, cacheDir, { onlyProvides })).path;
    assert.equal(await path("small"), join(newest, "vmlinux"));
    assert.equal(await path("small:app"), join(newest, "vmlinux"));
    assert.equal(await path("small:device"), join(device, "vmlinux"));
    assert.equal(await path("small", true), join(device, "vmlinux"));
    const kernel = await readSmallKernel(old);
    assert.ok(kernel);
    await markNewest(kernel);
    assert.equal(await path("small"), join(old, "vmlinux"));
  }));

Deno.test("a kernel that is not there names the command that brings it", () =>
  inCache(async (cacheDir) => {
    const fails = (name: string, message: RegExp) =>
      assert.rejects(
        resolveKernel(name, cacheDir),
        (error) =>
          error instanceof KernelNameError && error.kernel === name && message.test(error.message),
      );
    await fails("small", /spectrum kernel build --profile app$/);
    await fails("small:device", /spectrum kernel build --profile device$/);
    await fails("small:tiny", /no profile "tiny".*app, device, debug/);
    await fails("debian", /spectrum kernel fetch$/);
  }));

Deno.test("the list has both kinds, and the name that each goes by", () =>
  inCache(async (cacheDir) => {
    assert.deepEqual(await listKernels(cacheDir), []);
    await addSmall(cacheDir, "app", "a", 100);
    await addSmall(cacheDir, "app", "b", 10);
    await addDebian(cacheDir, "9");
    const debian = await addDebian(cacheDir, "10");
    // Neither half-made nor foreign folders are kernels.
    await Deno.mkdir(join(cacheDir, "kernels", ".building-x"));
    await Deno.mkdir(join(cacheDir, "kernels", "small-app-6.1.1-1-broken"));
    const list = await listKernels(cacheDir);
    assert.deepEqual(
      list.map(({ name, origin, version }) => [name, origin, version]),
      [
        ["small:app", "built", "6.1.1-spectrum-app"],
        [undefined, "built", "6.1.1-spectrum-app"],
        ["debian", "fetched", "6.1.0-10-cloud-amd64"],
        [undefined, "fetched", "6.1.0-9-cloud-amd64"],
      ],
    );
    assert.equal(list[0].size, 1234);
    assert.equal(list[2].size, 5);
    const { path, modulesDir } = await resolveKernel("debian", cacheDir);
    assert.equal(path, list[2].path);
    assert.equal(modulesDir, join(debian, "lib/modules/6.1.0-10-cloud-amd64"));
  }));
