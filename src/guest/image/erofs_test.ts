import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { erofs, type ImageEntry } from "./erofs.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const file = (path: string, text = path): ImageEntry => ({ kind: "file", path, data: bytes(text) });

/** Enough names for a folder of several blocks. */
const many = Array.from({ length: 400 }, (_, i) => file(`many/a-name-that-is-somewhat-long-${i}`));

const entries: ImageEntry[] = [
  { kind: "directory", path: "proc" },
  { kind: "file", path: "usr/bin/tool", data: new Uint8Array(10_001).fill(7), executable: true },
  { kind: "link", path: "bin", target: "usr/bin" },
  file("empty", ""),
  ...many,
];

Deno.test("what cannot be in an image is refused", () => {
  assert.throws(() => erofs([file("a"), file("a")]), /a is there twice/);
  assert.throws(() => erofs([file("a"), file("a/b")]), /a\/b lies in what is no folder/);
  for (const path of ["", "/a", "a/", "a/../b", "a//b", "x".repeat(256)]) {
    assert.throws(() => erofs([file(path)]), /is no path in an image/, path);
  }
  assert.deepEqual(erofs(entries), erofs(entries));
});

Deno.test({
  name: "Linux reads what was written",
  ignore: Deno.uid() !== 0 || !await canMount(),
  fn: async () => {
    const folder = Deno.makeTempDirSync();
    try {
      await mounted(folder, erofs(entries), () => {
        const at = (path: string) => join(folder, "root", path);
        assert.deepEqual([...Deno.readDirSync(at("many"))].length, many.length);
        for (const { path } of many) assert.equal(Deno.readTextFileSync(at(path)), path);
        assert.equal(Deno.readLinkSync(at("bin")), "usr/bin");
        const tool = Deno.readFileSync(at("bin/tool"));
        assert.equal(sha(tool), sha(new Uint8Array(10_001).fill(7)));
        assert.equal((Deno.statSync(at("bin/tool")).mode ?? 0) & 0o7777, 0o755);
        assert.equal(Deno.readFileSync(at("empty")).length, 0);
        const { nlink, uid } = Deno.statSync(at("."));
        assert.deepEqual([nlink, uid], [5, 0]);
      });
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
});

function sha(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

async function mounted(folder: string, image: Uint8Array, look: () => void): Promise<void> {
  Deno.writeFileSync(join(folder, "image"), image);
  const root = join(folder, "root");
  Deno.mkdirSync(root);
  await run("mount", "-t", "erofs", "-o", "loop,ro", join(folder, "image"), root);
  try {
    look();
  } finally {
    await run("umount", root);
  }
}

/** Not in a container without loop devices, nor on a kernel without erofs. */
async function canMount(): Promise<boolean> {
  const folder = Deno.makeTempDirSync();
  try {
    await mounted(folder, erofs([]), () => {});
    return true;
  } catch {
    return false;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
}
