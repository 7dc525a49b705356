import assert from "node:assert/strict";
import { join } from "node:path";
import { readTar, type TarEntry } from "./tar_reader.ts";

/** As mmdebstrap calls it. */
const FLAGS = [
  ...["--format=pax", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"],
  ...["--numeric-owner", "--xattrs", "--sort=name", "--mtime=@1700000000", "--clamp-mtime"],
];

type Read = Omit<TarEntry, "data"> & { readonly text?: string };

/** All entries by path, with what is in them. */
async function read(archive: ReadableStream<Uint8Array>): Promise<Map<string, Read>> {
  const entries = new Map<string, Read>();
  for await (const entry of readTar(archive)) {
    const text = entry.kind === "file" ? await new Response(stream(entry.data)).text() : undefined;
    entries.set(entry.path, { ...entry, text });
  }
  return entries;
}

function stream(data: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  return ReadableStream.from(data);
}

/** Of GNU tar, in pieces of odd sizes. */
function tar(folder: string, ...flags: string[]): ReadableStream<Uint8Array> {
  const args = [...FLAGS, ...flags, "-c", "-C", folder, "."];
  const { stdout } = new Deno.Command("tar", { args }).outputSync();
  const pieces = Array.from(
    { length: Math.ceil(stdout.length / 777) },
    (_, i) => stdout.slice(i * 777, (i + 1) * 777),
  );
  return ReadableStream.from(pieces);
}

Deno.test("what GNU tar writes is read", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const long = `${"long/".repeat(40)}name`, foreign = "Főtanúsítvány";
    await Deno.mkdir(join(folder, "long/".repeat(40)), { recursive: true });
    await Deno.writeTextFile(join(folder, long), "x".repeat(5000));
    await Deno.writeTextFile(join(folder, foreign), "y");
    await Deno.writeTextFile(join(folder, "empty"), "");
    await Deno.symlink(`../${long}`, join(folder, "link"));
    await Deno.link(join(folder, long), join(folder, "other"));
    await Deno.chmod(join(folder, foreign), 0o4750);
    await Deno.utime(join(folder, foreign), 1_600_000_000, 1_600_000_000);
    const entries = await read(tar(folder, "--owner=3000000", "--group=7"));
    const root = entries.get("");
    assert.deepEqual([root?.kind, root?.mtime], ["directory", 1_700_000_000]);
    const at = (path: string) => entries.get(path) ?? assert.fail(`${path} is missing`);
    assert.equal(at(long).text, "x".repeat(5000));
    const { text, mode, uid, gid, mtime } = at(foreign);
    assert.deepEqual([text, mode, uid, gid, mtime], ["y", 0o4750, 3_000_000, 7, 1_600_000_000]);
    assert.equal(at("empty").text, "");
    const { kind: linkKind, target } = at("link") as Read & { target: string };
    assert.deepEqual([linkKind, target], ["link", `../${long}`]);
    const { kind, target: same } = at("other") as Read & { target: string };
    assert.deepEqual([kind, same], ["hardlink", long]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a file that nobody reads is passed over", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of ["a", "b", "c"]) {
      await Deno.writeTextFile(join(folder, name), name.repeat(3000));
    }
    const paths: string[] = [];
    for await (const { path } of readTar(tar(folder))) paths.push(path);
    assert.deepEqual(paths, ["", "a", "b", "c"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an archive that is damaged or ends early is refused", async () => {
  const whole = new Uint8Array(
    await new Response(tar(await Deno.makeTempDir())).arrayBuffer(),
  );
  await assert.rejects(read(ReadableStream.from([whole.slice(0, 700)])), /ends in the middle/);
  await assert.rejects(read(ReadableStream.from([])), /ends in the middle/);
  const damaged = whole.slice();
  damaged[0] ^= 1;
  await assert.rejects(read(ReadableStream.from([damaged])), /wrong checksum/);
});
