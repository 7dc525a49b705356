import assert from "node:assert/strict";
import { bootBytes } from "./boot_file.ts";
import { type FakeElf, fakeElf, FakeMachine, MIB } from "./fake_machine.ts";
import { KernelError, type KernelErrorReason } from "./kernel_error.ts";
import { type KernelOptions, loadKernel } from "./load_kernel.ts";

const ENTRY = 2 * MIB + 0x50;

function load(
  elf: FakeElf | Uint8Array,
  more?: Partial<KernelOptions>,
  machine = new FakeMachine(8 * MIB),
) {
  const file = elf instanceof Uint8Array ? elf : fakeElf(elf);
  const options = { cmdline: "quiet", ...more };
  const entry = loadKernel(machine.memory, bootBytes(file, "vmlinux"), options);
  assert.equal(entry.kind, "pvh");
  return { entry, machine };
}

function refused(reason: KernelErrorReason, elf: FakeElf | Uint8Array): void {
  assert.throws(() => load(elf), (error) => {
    assert.ok(error instanceof KernelError, String(error));
    assert.equal(error.reason, reason, error.message);
    return true;
  });
}

Deno.test("an ELF kernel is loaded at its physical addresses and entered where the Xen note says", () => {
  const machine = new FakeMachine(8 * MIB);
  machine.memory.write(2 * MIB + 0x1_0000, new Uint8Array([0xff]));
  const { entry } = load({ entry: ENTRY }, {}, machine);
  assert.equal(entry.instruction, ENTRY);
  assert.equal(machine.memory.read(ENTRY, 1)[0], 0x90);
  assert.equal(machine.memory.read(2 * MIB + 0x1_0000, 1)[0], 0, "bss is cleared");
  assert.ok(machine.intact);
});

Deno.test("a segment may end where memory ends, and an initrd be empty", () => {
  const load64K = { physicalAddress: 8 * MIB - 0x1_0000, memorySize: 0x1_0000 };
  load({ load: load64K, entry: 8 * MIB - 0x1_0000 });
  load({ entry: ENTRY }, { initrd: bootBytes(new Uint8Array(0), "empty") });
});

Deno.test("start info leads to memory map, initrd, command line and RSDP", () => {
  const initrd = bootBytes(new Uint8Array(100).fill(7), "initrd");
  const { entry, machine } = load({ entry: ENTRY }, { initrd, rsdp: 0xe0000 });
  assert.ok(entry.kind === "pvh");
  const words = new Uint32Array(machine.memory.read(entry.startInfo, 56).slice().buffer);
  // Offsets of struct hvm_start_info, version 1.
  assert.equal(words[0], 0x336ec578);
  assert.equal(words[1], 1);
  assert.equal(words[3], 1);
  assert.equal(words[8], 0xe0000);
  assert.equal(words[12], 6);
  const module = new Uint32Array(machine.memory.read(words[4], 32).slice().buffer);
  assert.deepEqual([module[0], module[2]], [8 * MIB - 4096, 100]);
  assert.equal(machine.memory.read(module[0], 1)[0], 7);
  const text = machine.memory.read(words[6], 6);
  assert.deepEqual([...text], [...new TextEncoder().encode("quiet\0")]);
  const map = new Uint32Array(machine.memory.read(words[10], 24).slice().buffer);
  assert.deepEqual([...map], [0, 0, 0x9fc00, 0, 1, 0]);
});

Deno.test("each bad ELF file has its own error", () => {
  refused("no-pvh", {});
  refused("32-bit", { header: { class: 1, machine: 3 }, entry: ENTRY });
  refused("not-a-kernel", { header: { machine: 183 }, entry: ENTRY });
  refused("not-a-kernel", { header: { programCount: 0 }, entry: ENTRY });
  refused("not-a-kernel", { header: { encoding: 2 }, entry: ENTRY });
  refused("truncated", { header: { programOffset: 2 ** 40 }, entry: ENTRY });
  refused("truncated", { load: { offset: 2 ** 63 }, entry: ENTRY });
  refused("truncated", fakeElf({ entry: ENTRY }).subarray(0, 0x8000));
  refused("truncated", fakeElf({ entry: ENTRY }).subarray(0, 20));
  refused("malformed", { load: { memorySize: 1 }, entry: ENTRY });
  refused("malformed", { load: { physicalAddress: 0x1000 }, entry: 0x1000 });
  refused("malformed", { entry: 1 });
  refused("does-not-fit", { load: { physicalAddress: 2 ** 63 }, entry: ENTRY });
  refused("does-not-fit", { load: { memorySize: 2 ** 63 }, entry: ENTRY });
});
