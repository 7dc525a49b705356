import assert from "node:assert/strict";
import { join } from "node:path";
import { silent } from "../progress.ts";
import { compareVersions, debianKernel, debianKernels } from "./debian_kernel.ts";
import { fetchDebianKernel } from "./fetch_debian_kernel.ts";
import { FetchError } from "../fetch_error.ts";

async function withCache(body: (cache: string) => Promise<void>): Promise<void> {
  const cache = await Deno.makeTempDir();
  try {
    await body(cache);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

async function addKernel(cache: string, version: string, packageVersion: string): Promise<void> {
  const folder = join(cache, "kernels", `debian-${version}`);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(
    join(folder, "kernel.json"),
    JSON.stringify({ version, packageVersion }),
  );
}

Deno.test("versions are ordered by their numbers", () => {
  const sorted = ["6.1.99-1", "6.1.164-1", "6.1.9-2", "6.1.9-10", "6.10.1-1"].sort(compareVersions);
  assert.deepEqual(sorted, ["6.1.9-2", "6.1.9-10", "6.1.99-1", "6.1.164-1", "6.10.1-1"]);
});

Deno.test("an empty cache has no kernel", async () => {
  await withCache(async (cache) => {
    assert.equal(await debianKernel(cache), undefined);
  });
});

Deno.test("the newest kernel is found, a half unpacked one is not", async () => {
  await withCache(async (cache) => {
    await addKernel(cache, "6.1.0-9-cloud-amd64", "6.1.27-1");
    await addKernel(cache, "6.1.0-44-cloud-amd64", "6.1.164-1");
    await Deno.mkdir(join(cache, "kernels", "debian-6.1.0-99-cloud-amd64"));
    await Deno.mkdir(join(cache, "kernels", ".unpacking-x"));
    await Deno.mkdir(join(cache, "kernels", "small-1"));
    const kernel = await debianKernel(cache);
    assert.equal(kernel?.version, "6.1.0-44-cloud-amd64");
    assert.equal(kernel?.vmlinuz, join(kernel.directory, "boot/vmlinuz-6.1.0-44-cloud-amd64"));
    assert.equal((await debianKernels(cache)).length, 2);
  });
});

Deno.test("a kernel in the cache is used again, without a word or a program", async () => {
  await withCache(async (cache) => {
    await addKernel(cache, "6.1.0-44-cloud-amd64", "6.1.164-1");
    const steps: string[] = [];
    const kernel = await fetchDebianKernel(cache, (step) => steps.push(step));
    assert.equal(kernel.version, "6.1.0-44-cloud-amd64");
    assert.deepEqual(steps, []);
    // Not even apt's folder was made.
    assert.deepEqual([...Deno.readDirSync(cache)].map(({ name }) => name), ["kernels"]);
  });
});

Deno.test("without apt the error says what to do", async () => {
  await withCache(async (cache) => {
    const path = Deno.env.get("PATH") ?? "";
    Deno.env.set("PATH", cache);
    try {
      await assert.rejects(fetchDebianKernel(cache, silent), (error: unknown) => {
        assert.ok(error instanceof FetchError);
        assert.match(error.message, /no apt-get.*--kernel PATH/s);
        return true;
      });
    } finally {
      Deno.env.set("PATH", path);
    }
  });
});
