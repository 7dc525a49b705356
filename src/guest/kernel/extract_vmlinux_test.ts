import assert from "node:assert/strict";
import { cacheDir } from "../cache_dir.ts";
import { debianKernel } from "./debian_kernel.ts";
import { extractVmlinux } from "./extract_vmlinux.ts";
import { decompressLz4Legacy, Lz4Error } from "./lz4_legacy.ts";

const MAGIC = [0x02, 0x21, 0x4c, 0x18];

function frame(...block: number[]): Uint8Array {
  return new Uint8Array([...MAGIC, block.length, 0, 0, 0, ...block]);
}

function has(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

Deno.test("literals and an overlapping match", () => {
  // "ab", then 6 bytes from 2 back, then the last literals "xyz12".
  const block = [0x22, 97, 98, 2, 0, 0x50, 120, 121, 122, 49, 50];
  assert.equal(
    new TextDecoder().decode(decompressLz4Legacy(frame(...block), 100)),
    "ababababxyz12",
  );
});

Deno.test("every way to lie about a length is refused", () => {
  const cases: [string, Uint8Array][] = [
    ["no magic", new Uint8Array([1, 2, 3, 4])],
    ["a block longer than the data", new Uint8Array([...MAGIC, 200, 0, 0, 0, 0x10, 1])],
    ["literals beyond the block", frame(0xf0, 100, 1, 2)],
    ["a length without end", frame(0xf0, 255, 255)],
    ["a match before the start", frame(0x12, 97, 9, 0, 0x10, 1)],
    ["a match of distance 0", frame(0x12, 97, 0, 0, 0x10, 1)],
    ["a match cut off", frame(0x12, 97, 1)],
    ["more than the limit", frame(0x1f, 97, 1, 0, 255, 255, 0, 0x10, 1)],
  ];
  for (const [name, bytes] of cases) {
    assert.throws(() => decompressLz4Legacy(bytes, 100), Lz4Error, name);
  }
});

Deno.test({
  name: "what lz4 compressed is what it was",
  ignore: !has("lz4"),
  async fn() {
    const file = await Deno.makeTempFile();
    try {
      // More than one block of 8 MiB, partly noise, partly repetition.
      const data = new Uint8Array(9 << 20);
      for (let at = 0; at < 1 << 20; at += 65536) {
        crypto.getRandomValues(data.subarray(at, at + 65536));
      }
      data.fill(7, 2 << 20, 3 << 20);
      for (let i = 3 << 20; i < data.length; i++) data[i] = (i * i) >> 7;
      await Deno.writeFile(file, data);
      const { stdout } = await new Deno.Command("lz4", { args: ["-l", "-9", "-c", file] }).output();
      assert.deepEqual(decompressLz4Legacy(stdout, data.length), data);
    } finally {
      await Deno.remove(file);
    }
  },
});

Deno.test("files that are no bzImage are left alone", () => {
  assert.equal(extractVmlinux(new Uint8Array(100)), undefined);
  assert.equal(extractVmlinux(new Uint8Array(100_000)), undefined);
});

const kernel = await debianKernel(cacheDir());

Deno.test({
  name: "Debian's kernel is unpacked to an ELF file that names its version",
  ignore: kernel === undefined,
  async fn() {
    assert.ok(kernel !== undefined);
    const vmlinux = extractVmlinux(await Deno.readFile(kernel.vmlinuz));
    assert.ok(vmlinux !== undefined);
    assert.equal(new TextDecoder().decode(vmlinux.subarray(1, 4)), "ELF");
    const wanted = new TextEncoder().encode(`Linux version ${kernel.version} `);
    assert.ok(indexOf(vmlinux, wanted) > 0);
  },
});

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  for (let at = bytes.indexOf(wanted[0]); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}
