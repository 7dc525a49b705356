import assert from "node:assert/strict";
import { cpio, type CpioEntry } from "./cpio.ts";

const text = (value: string) => new TextEncoder().encode(value);

const entries: CpioEntry[] = [
  { kind: "file", path: "init", data: text("#!/bin/sh\n"), mode: 0o755 },
  { kind: "file", path: "a/b/c", data: text("deep") },
  { kind: "file", path: "a/empty", data: new Uint8Array(0) },
  { kind: "link", path: "a/link", target: "b/c" },
  { kind: "directory", path: "a", mode: 0o700 },
  { kind: "directory", path: "only", mode: 0o1777 },
];

async function run(
  program: string,
  args: string[],
  input: Uint8Array,
  cwd?: string,
): Promise<string> {
  const child = new Deno.Command(program, {
    args,
    cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(input);
  await writer.close();
  const output = await child.output();
  const stderr = new TextDecoder().decode(output.stderr);
  assert.ok(output.success, stderr);
  return new TextDecoder().decode(output.stdout);
}

function has(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

const ignore = !has("cpio");

Deno.test({
  name: "cpio lists what we wrote, folders above an entry before it",
  ignore,
  async fn() {
    const listed = await run("cpio", ["-t", "--quiet"], cpio(entries));
    assert.deepEqual(listed.trim().split("\n"), [
      "init",
      "a",
      "a/b",
      "a/b/c",
      "a/empty",
      "a/link",
      "only",
    ]);
  },
});

Deno.test({
  name: "cpio unpacks content, modes and links",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      await run("cpio", ["-i", "--quiet", "-m", "--no-preserve-owner"], cpio(entries), folder);
      assert.equal(await Deno.readTextFile(`${folder}/init`), "#!/bin/sh\n");
      assert.equal(await modeOf(`${folder}/init`), 0o755);
      assert.equal(await Deno.readTextFile(`${folder}/a/link`), "deep");
      assert.equal(await Deno.readLink(`${folder}/a/link`), "b/c");
      assert.equal((await Deno.stat(`${folder}/a/empty`)).size, 0);
      assert.equal(await modeOf(`${folder}/only`), 0o1777);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("a device node has its numbers where the format wants them", () => {
  const archive = new TextDecoder().decode(
    cpio([{ kind: "character", path: "console", major: 5, minor: 1 }]),
  );
  // 6 of magic, then 13 fields of 8 digits: mode is the second, rdev the tenth and eleventh.
  const field = (index: number) => parseInt(archive.slice(6 + 8 * index, 14 + 8 * index), 16);
  assert.equal(archive.slice(0, 6), "070701");
  assert.equal(field(1), 0o020600);
  assert.equal(field(9), 5);
  assert.equal(field(10), 1);
});

Deno.test("equal entries give equal bytes, padded to four", () => {
  assert.deepEqual(cpio(entries), cpio(entries));
  assert.equal(cpio(entries).length % 4, 0);
});

Deno.test("paths that leave the archive are refused", () => {
  for (const path of ["/etc/passwd", "a/../../b", "a\0b"]) {
    assert.throws(() => cpio([{ kind: "directory", path }]), RangeError);
  }
});

async function modeOf(path: string): Promise<number> {
  return ((await Deno.stat(path)).mode ?? 0) & 0o7777;
}
