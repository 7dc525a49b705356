import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Erofs, type ErofsEntry } from "./mod.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const file = (path: string, text = path): ErofsEntry => ({ kind: "file", path, data: bytes(text) });

/** Enough names for a folder of several blocks. */
const many = Array.from({ length: 400 }, (_, i) => file(`many/a-name-that-is-somewhat-long-${i}`));
/** Around the sizes at which a file's end changes its place. */
const sizes = [1, 2047, 2048, 2049, 4095, 4096, 4097, 6144, 6145, 8192, 10_001];
const pattern = (size: number) => Uint8Array.from({ length: size }, (_, i) => i * 31 + (i >> 8));

const entries: ErofsEntry[] = [
  { kind: "directory", path: "", attributes: { mode: 0o750 } },
  { kind: "directory", path: "proc" },
  {
    kind: "file",
    path: "usr/bin/tool",
    data: new Uint8Array(10_001).fill(7),
    attributes: { mode: 0o4755, uid: 70_000, gid: 80_000, mtime: 1_700_000_000 },
  },
  { kind: "hardlink", path: "usr/bin/other", target: "usr/bin/tool" },
  { kind: "link", path: "bin", target: "usr/bin" },
  file("empty", ""),
  ...sizes.map((size): ErofsEntry => ({ kind: "file", path: `size/${size}`, data: pattern(size) })),
  ...many,
];

/** What only root may make or see. */
const forRoot: ErofsEntry[] = [
  { kind: "character", path: "node", major: 5, minor: 0x1234 },
  { kind: "fifo", path: "fifo" },
  {
    ...file("capable"),
    attributes: {
      xattrs: new Map([
        ["security.capability", capability()],
        ["user.a", bytes("b")],
        ["user.long", new Uint8Array(3000).fill(9)],
      ]),
    },
  },
];

/** struct vfs_cap_data, version 2: CAP_NET_RAW. */
function capability(): Uint8Array {
  const data = new Uint8Array(20);
  new DataView(data.buffer).setUint32(0, 0x0200_0001, true);
  new DataView(data.buffer).setUint32(4, 1 << 13, true);
  return data;
}

Deno.test("what cannot be in an image is refused", async () => {
  await assert.rejects(imageOf([file("a"), file("a")]), /a is there twice/);
  await assert.rejects(imageOf([file("a"), file("a/b")]), /a\/b lies in what is no folder/);
  const link: ErofsEntry = { kind: "hardlink", path: "a", target: "b" };
  await assert.rejects(imageOf([link]), /a is to be b, which is no file/);
  for (const path of ["", "/a", "a/", "a/../b", "a//b", "x".repeat(256)]) {
    await assert.rejects(imageOf([file(path)]), /is no path in an image/, path);
  }
});

Deno.test("equal content gives equal bytes, in whatever pieces it comes", async () => {
  const pieces = (size: number) =>
    entries.map((entry): ErofsEntry =>
      entry.kind === "file" && entry.data instanceof Uint8Array
        ? { ...entry, data: inPieces(entry.data, size) }
        : entry
    );
  const whole = sha(await imageOf(entries));
  for (const size of [1000, 4096, 5000]) assert.equal(sha(await imageOf(pieces(size))), whole);
});

Deno.test({
  name: "erofs-utils find nothing wrong, and read what was written",
  ignore: !hasFsck(),
  fn: async () => {
    const folder = Deno.makeTempDirSync();
    try {
      const root = Deno.uid() === 0;
      const image = join(folder, "image"), out = join(folder, "out");
      await Deno.writeFile(image, await imageOf(root ? [...entries, ...forRoot] : entries));
      await run("fsck.erofs", `--extract=${out}`, image);
      look((path) => join(out, path));
      if (!root) return;
      const { uid, gid, mode, mtime } = Deno.statSync(join(out, "usr/bin/tool"));
      // It sets the owner last, which takes the bits above.
      assert.deepEqual([uid, gid, (mode ?? 0) & 0o777], [70_000, 80_000, 0o755]);
      assert.equal(mtime?.getTime(), 1_700_000_000_000);
      assert.equal(Deno.statSync(join(out, "node")).rdev, makedev(5, 0x1234));
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "Linux reads what was written",
  ignore: Deno.uid() !== 0 || !await canMount(),
  fn: async () => {
    const folder = Deno.makeTempDirSync();
    try {
      await mounted(folder, await imageOf([...entries, ...forRoot]), async () => {
        const at = (path: string) => join(folder, "root", path);
        look(at);
        const { nlink, uid, mode } = Deno.statSync(at("."));
        assert.deepEqual([nlink, uid, (mode ?? 0) & 0o7777], [6, 0, 0o750]);
        const tool = Deno.statSync(at("usr/bin/tool")), other = Deno.statSync(at("usr/bin/other"));
        assert.deepEqual([tool.ino, tool.nlink], [other.ino, 2]);
        assert.equal((tool.mode ?? 0) & 0o7777, 0o4755);
        assert.deepEqual(await xattrs(at("capable")), {
          "security.capability": capability().toHex(),
          "user.a": "62",
          "user.long": "09".repeat(3000),
        });
      });
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
});

/** What is the same for everybody who reads it. */
function look(at: (path: string) => string): void {
  assert.deepEqual([...Deno.readDirSync(at("many"))].length, many.length);
  for (const { path } of many) assert.equal(Deno.readTextFileSync(at(path)), path);
  for (const size of sizes) {
    assert.equal(sha(Deno.readFileSync(at(`size/${size}`))), sha(pattern(size)), `${size} bytes`);
  }
  assert.equal(Deno.readLinkSync(at("bin")), "usr/bin");
  const tool = Deno.readFileSync(at("bin/tool"));
  assert.equal(sha(tool), sha(new Uint8Array(10_001).fill(7)));
  assert.equal(sha(Deno.readFileSync(at("bin/other"))), sha(tool));
  assert.equal(Deno.readFileSync(at("empty")).length, 0);
}

async function imageOf(entries: readonly ErofsEntry[]): Promise<Uint8Array> {
  const path = Deno.makeTempFileSync();
  try {
    using output = Deno.openSync(path, { write: true });
    const image = new Erofs(output);
    for (const entry of entries) await image.add(entry);
    const size = image.finish();
    const written = Deno.readFileSync(path);
    assert.equal(written.length, size);
    return written;
  } finally {
    Deno.removeSync(path);
  }
}

async function* inPieces(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) {
    yield await Promise.resolve(data.subarray(at, at + size));
  }
}

async function xattrs(path: string): Promise<Record<string, string>> {
  const script = "import json, os, sys; path = sys.argv[1]; " +
    "print(json.dumps({name: os.getxattr(path, name).hex() for name in os.listxattr(path)}))";
  return JSON.parse(await run("python3", "-c", script, path));
}

function sha(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function makedev(major: number, minor: number): number {
  return minor & 0xff | major << 8 | (minor & ~0xff) << 12;
}

async function mounted(
  folder: string,
  image: Uint8Array,
  look: () => Promise<void>,
): Promise<void> {
  Deno.writeFileSync(join(folder, "image"), image);
  const root = join(folder, "root");
  Deno.mkdirSync(root);
  await run("mount", "-t", "erofs", "-o", "loop,ro", join(folder, "image"), root);
  try {
    await look();
  } finally {
    await run("umount", root);
  }
}

/** Not in a container without loop devices, nor on a kernel without erofs. */
async function canMount(): Promise<boolean> {
  const folder = Deno.makeTempDirSync();
  try {
    await mounted(folder, await imageOf([]), () => Promise.resolve());
    return true;
  } catch {
    return false;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function hasFsck(): boolean {
  try {
    return new Deno.Command("fsck.erofs", { args: ["-V"] }).outputSync().success;
  } catch {
    return false;
  }
}

async function run(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
