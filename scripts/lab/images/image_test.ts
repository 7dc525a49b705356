import assert from "node:assert/strict";
import { join } from "node:path";
import { silent } from "../../../src/guest/mod.ts";
import { findToolIfPresent } from "../execute.ts";
import { librariesOf } from "./add_program.ts";
import { FileSet } from "./file_set.ts";
import { buildImage } from "./image.ts";
import { bytesKey, keepFile, labDir } from "./kept.ts";

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "an image holds files, modes, links and folders, and is made once",
  ignore: findToolIfPresent("mke2fs") === undefined || findToolIfPresent("debugfs") === undefined,
  async fn() {
    await withFolder(async (folder) => {
      await Deno.writeTextFile(join(folder, "source"), "from the host");
      const files = new FileSet();
      await files.addFile(join(folder, "source"), "/bin/program");
      files.addText("/etc/secret", "hidden", 0o600);
      files.addLink("/etc/link", "secret");
      files.addDirectory("/tmp", 0o1777);
      const path = await buildImage("test", files, folder, silent);
      const ask = async (request: string) => {
        const { stdout } = await new Deno.Command(findToolIfPresent("debugfs") ?? "", {
          args: ["-R", request, path],
          stderr: "null",
        }).output();
        return new TextDecoder().decode(stdout);
      };
      // /bin is a part of /usr.
      assert.equal(await ask("cat /usr/bin/program"), "from the host");
      assert.match(await ask("stat /etc/secret"), /Mode:\s+0600/);
      assert.match(await ask("stat /etc/link"), /Fast link dest: "secret"/);
      assert.match(await ask("stat /tmp"), /Mode:\s+01777/);
      const made = (await Deno.stat(path)).ino;
      assert.equal(await buildImage("test", files, folder, silent), path);
      assert.equal((await Deno.stat(path)).ino, made);
      assert.deepEqual(
        [...Deno.readDirSync(labDir(folder))].map(({ name }) => join(labDir(folder), name)),
        [path],
      );
    });
  },
});

Deno.test("the key follows content and time of change, not the order of adding", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "f");
    await Deno.writeTextFile(file, "1");
    const key = async (reverse = false) => {
      const files = new FileSet();
      if (reverse) files.addText("/t", "x");
      await files.addFile(file, "/f");
      if (!reverse) files.addText("/t", "x");
      return files.key();
    };
    const first = await key();
    assert.equal(await key(true), first);
    await Deno.utime(file, 1, 1);
    assert.notEqual(await key(), first);
  });
});

Deno.test("of a name the last used files stay; others' and recent ones stay, too", async () => {
  await withFolder(async (folder) => {
    const make = (text: string, name = "thing") =>
      keepFile(
        folder,
        name,
        "bin",
        bytesKey(text),
        () => Promise.resolve(new TextEncoder().encode(text)),
      );
    const other = await make("0", "thing-else");
    const paths: string[] = [];
    for (const [index, text] of ["a", "b", "c"].entries()) {
      const path = await make(text);
      await Deno.utime(path, index + 1, index + 1);
      paths.push(path);
    }
    await make("a");
    const fresh = await make("d");
    const left = [...Deno.readDirSync(labDir(folder))].map(({ name }) =>
      join(labDir(folder), name)
    );
    assert.deepEqual(left.sort(), [other, paths[0], paths[2], fresh].sort());
    for (const text of ["e", "f", "g", "h"]) await make(text);
    // Those of the last minutes may be in use.
    assert.ok((await Deno.stat(fresh)).isFile);
  });
});

Deno.test("the making of a file that fails leaves nothing", async () => {
  await withFolder(async (folder) => {
    await assert.rejects(
      keepFile(folder, "x", "bin", bytesKey("1"), () => Promise.reject(new Error("no"))),
      /^Error: no$/,
    );
    assert.deepEqual([...Deno.readDirSync(labDir(folder))], []);
  });
});

Deno.test("shared libraries of programs, static ones have none", async () => {
  const libraries = await librariesOf(["/bin/ls"]);
  assert.ok(libraries.some((path) => path.endsWith("/libc.so.6")));
  assert.ok(libraries.some((path) => path.includes("ld-linux")));
  for (const path of libraries) assert.ok((await Deno.stat(path)).isFile);
});
