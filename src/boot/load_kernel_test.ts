import assert from "node:assert/strict";
import fc from "fast-check";
import { bootBytes } from "./boot_file.ts";
import { fakeBzImage, fakeElf, FakeMachine, MIB } from "./fake_machine.ts";
import { KernelError } from "./kernel_error.ts";
import { loadKernel } from "./load_kernel.ts";

const machine = new FakeMachine(8 * MIB);

/** Loads hostile bytes; anything but an entry inside memory or a KernelError fails the test. */
function loadHostile(file: Uint8Array): void {
  try {
    const initrd = bootBytes(new Uint8Array(4096), "initrd");
    const entry = loadKernel(machine.memory, bootBytes(file, "hostile"), { cmdline: "", initrd });
    assert.ok(entry.instruction >= MIB && entry.instruction < machine.size);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
  assert.ok(machine.intact);
}

const bzImage = fakeBzImage({}, new Uint8Array(0x1000));
const elf = fakeElf({ entry: 2 * MIB });
const interesting = [0, 1, 2, 0x7f, 0x80, 0xff];

/** Overwrites bytes of the first `reach`, and cuts the file. */
function mutations(file: Uint8Array, reach: number, from = 0) {
  const byte = fc.oneof(fc.constantFrom(...interesting), fc.integer({ min: 0, max: 255 }));
  return fc.record({
    changes: fc.array(fc.tuple(fc.integer({ min: from, max: reach - 1 }), byte), { maxLength: 12 }),
    length: fc.oneof(fc.constant(file.length), fc.integer({ min: 0, max: file.length })),
  }).map(({ changes, length }) => {
    const copy = file.slice(0, length);
    for (const [at, value] of changes) if (at < length) copy[at] = value;
    return copy;
  });
}

Deno.test("no bzImage makes the loader throw anything but KernelError or write outside memory", () => {
  fc.assert(fc.property(mutations(bzImage, 0x270, 0x1f1), loadHostile), { numRuns: 3000 });
});

Deno.test("no ELF file makes the loader throw anything but KernelError or write outside memory", () => {
  fc.assert(fc.property(mutations(elf, 64 + 112 + 64), loadHostile), { numRuns: 3000 });
});

Deno.test("no file at all does", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), loadHostile), { numRuns: 500 });
});

Deno.test("what is no kernel is named for what it is", () => {
  const look = (bytes: Uint8Array | string): string => {
    const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    try {
      loadKernel(machine.memory, bootBytes(data, "file"), { cmdline: "" });
    } catch (error) {
      assert.ok(error instanceof KernelError);
      assert.equal(error.reason, "not-a-kernel");
      return error.message;
    }
    return "loaded";
  };
  assert.match(look(""), /an empty file/);
  assert.match(look("#!/bin/sh\n"), /a script/);
  assert.match(look("hello, world\n"), /a text file/);
  assert.match(look(new Uint8Array([0x1f, 0x8b, 8, 0])), /gzip/);
  assert.match(look("070701000"), /cpio archive \(an initrd\?\)/);
  assert.match(look(new Uint8Array(5000)), /a file of zeros/);
  assert.match(look("MZ\x90\0\0"), /EFI/);
});

Deno.test("a machine of 1 MiB boots nothing", () => {
  const tiny = new FakeMachine(MIB);
  assert.throws(
    () => loadKernel(tiny.memory, bootBytes(bzImage, "vmlinuz"), { cmdline: "" }),
    (error) => error instanceof KernelError && error.reason === "does-not-fit",
  );
});
