import assert from "node:assert/strict";
import { join } from "node:path";
import { buildImage, cacheDir, ImageError, ImageStore, showProgress } from "../../src/guest/mod.ts";
import { payload } from "../../src/os/mod.ts";
import { systemdImage } from "../lab/systemd_image.ts";

/** Leaves only what belongs to one machine or one moment. */
const TRACES = `#!/bin/bash
set -e
test "$(cat /etc/os-release | grep -c bookworm)" -gt 0
echo here >/etc/hostname; date >/var/log/now.log; date >/run/now; date >/tmp/now
head -c 32 /dev/urandom >/var/lib/systemd/random-seed

`;

Deno.test("two builds of the same packages are the same image, whatever a script leaves behind", async () => {
  const folder = await Deno.makeTempDir();
  try {
    // That of the lab's tests, which need it anyway.
    const home = await systemdImage(cacheDir(), showProgress());
    const first = await new ImageStore(join(home, "spectrum")).find("web");
    const store = new ImageStore(folder);
    const script = join(folder, "script");
    await Deno.writeTextFile(script, TRACES);
    const options = {
      ...{ name: "web", store, cacheDir: cacheDir(), progress: showProgress(), script },
      agent: payload().agent,
    };
    const second = await buildImage({ ...options, packages: ["nginx-light"] });
    assert.equal(second.base, first?.base);
    assert.equal(second.size, (await Deno.stat(store.basePath(second.base))).size);
    assert.match(second.versions["nginx-light"], /^1\./);

    // What cannot be built leaves the image that the name has.
    await assert.rejects(
      buildImage({ ...options, packages: ["no-such-package"] }),
      /no-such-package/,
    );
    const usage = (error: unknown) => error instanceof ImageError && error.fault === "usage";
    await assert.rejects(buildImage({ ...options, packages: ["--option"] }), usage);
    await assert.rejects(buildImage({ ...options, name: "Web" }), usage);
    await assert.rejects(buildImage({ ...options, script: join(folder, "none") }), usage);
    assert.deepEqual((await store.list()).map(({ name, base }) => [name, base]), [
      ["web", second.base],
    ]);
    assert.equal([...Deno.readDirSync(store.bases)].length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
