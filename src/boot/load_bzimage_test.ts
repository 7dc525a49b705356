import assert from "node:assert/strict";
import { bootBytes } from "./boot_file.ts";
import { fakeBzImage, FakeMachine, MIB } from "./fake_machine.ts";
import { KernelError, type KernelErrorReason } from "./kernel_error.ts";
import { type KernelOptions, loadKernel } from "./load_kernel.ts";

function load(
  file: Uint8Array,
  machine = new FakeMachine(64 * MIB),
  more?: Partial<KernelOptions>,
) {
  const entry = loadKernel(machine.memory, bootBytes(file, "vmlinuz"), {
    cmdline: "quiet",
    ...more,
  });
  assert.equal(entry.kind, "linux64");
  return { entry, machine };
}

function refused(reason: KernelErrorReason, message: RegExp, call: () => unknown): void {
  assert.throws(call, (error) => {
    assert.ok(error instanceof KernelError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, message);
    return true;
  });
}

const word = (machine: FakeMachine, address: number) =>
  new DataView(machine.memory.read(address, 4).slice().buffer).getUint32(0, true);

Deno.test("a bzImage is loaded at its preferred address and entered 0x200 bytes after its start", () => {
  const payload = new Uint8Array(MIB).fill(0x90);
  payload[0x200] = 0xc3;
  const { entry, machine } = load(fakeBzImage({}, payload));
  assert.equal(entry.instruction, 16 * MIB + 0x200);
  assert.equal(machine.memory.read(16 * MIB + 0x200, 1)[0], 0xc3);
  assert.ok(machine.intact);
});

Deno.test("where memory does not reach the preferred address, a relocatable kernel goes low", () => {
  const { entry } = load(fakeBzImage(), new FakeMachine(8 * MIB));
  assert.equal(entry.instruction, 2 * MIB + 0x200);
  refused(
    "does-not-fit",
    /needs 20 MiB to start, the machine has 8 MiB/,
    () => load(fakeBzImage({ relocatable: 0 }), new FakeMachine(8 * MIB)),
  );
  refused(
    "does-not-fit",
    /needs 6 MiB to start, the machine has 4 MiB/,
    () => load(fakeBzImage(), new FakeMachine(4 * MIB)),
  );
});

Deno.test("the zero page carries header, memory map, command line, initrd and RSDP", () => {
  const initrd = bootBytes(new Uint8Array(5000).fill(7), "initrd");
  const { machine, entry } = load(fakeBzImage(), undefined, { initrd, rsdp: 0xe0000 });
  assert.ok(entry.kind === "linux64");
  const at = entry.zeroPage;
  assert.equal(word(machine, at + 0x202), 0x53726448);
  assert.equal(word(machine, at + 0x70), 0xe0000);
  const cmdline = machine.memory.read(word(machine, at + 0x228), 6);
  assert.deepEqual([...cmdline], [...new TextEncoder().encode("quiet\0")]);
  const initrdAddress = word(machine, at + 0x218);
  assert.equal(initrdAddress, 64 * MIB - 8192);
  assert.equal(word(machine, at + 0x21c), 5000);
  assert.equal(machine.memory.read(initrdAddress + 4999, 1)[0], 7);
  // First e820 line: 0 to 0x9fc00, RAM.
  assert.equal(word(machine, at + 0x2d0 + 8), 0x9fc00);
  assert.equal(word(machine, at + 0x2d0 + 16), 1);
  assert.equal(machine.memory.read(at + 0x1e8, 1)[0], 6);
});

Deno.test("the page tables map 4 GiB to itself", () => {
  const { machine, entry } = load(fakeBzImage());
  assert.ok(entry.kind === "linux64");
  // Walk 0xc0200000: PML4 0, PDPT 3, PD 1.
  const pdpt = word(machine, entry.pageTables) & ~0xfff;
  const pd = word(machine, pdpt + 3 * 8) & ~0xfff;
  assert.equal(word(machine, pd + 8), 0xc020_0083);
});

Deno.test("each bad bzImage has its own error", () => {
  const good = fakeBzImage();
  refused("32-bit", /32-bit kernel/, () => load(fakeBzImage({ extendedLoadFlags: 0 })));
  refused("too-old", /protocol 2\.06/, () => load(fakeBzImage({ version: 0x206 })));
  refused("malformed", /below 1 MiB/, () => load(fakeBzImage({ loadFlags: 0 })));
  refused("malformed", /alignment/, () => load(fakeBzImage({ kernelAlignment: 3 })));
  refused("malformed", /alignment/, () => load(fakeBzImage({ kernelAlignment: 0 })));
  refused("truncated", /truncated/, () => load(good.subarray(0, good.length - 17)));
  refused("truncated", /truncated/, () => load(good.subarray(0, 1024)));
  refused(
    "bad-cmdline",
    /2048 bytes long, this kernel takes 2047/,
    () => load(good, undefined, { cmdline: "x".repeat(2048) }),
  );
  refused("bad-cmdline", /NUL/, () => load(good, undefined, { cmdline: "a\0b" }));
  refused(
    "initrd-does-not-fit",
    /initrd of 45 MiB .* memory of 64 MiB/,
    () => load(good, undefined, { initrd: bootBytes(new Uint8Array(45 * MIB), "big") }),
  );
});

Deno.test("an initrd stays below the kernel's limit", () => {
  const initrd = bootBytes(new Uint8Array(4096), "initrd");
  const file = fakeBzImage({ initrdAddressMax: 32 * MIB - 1 });
  const { machine, entry } = load(file, undefined, { initrd });
  assert.ok(entry.kind === "linux64");
  assert.equal(word(machine, entry.zeroPage + 0x218), 32 * MIB - 4096);
});

Deno.test("a kernel built by Debian is accepted", async (t) => {
  const kernels = `${
    Deno.env.get("XDG_CACHE_HOME") ?? Deno.env.get("HOME") + "/.cache"
  }/spectrum/kernels`;
  const found = await firstKernel(kernels);
  if (found === undefined) {
    console.log(`skipped: no kernel in ${kernels} (spectrum kernel fetch)`);
    return;
  }
  await t.step(found, () => {
    const { entry, machine } = load(Deno.readFileSync(found), new FakeMachine(256 * MIB));
    assert.equal(entry.instruction, 16 * MIB + 0x200);
    assert.ok(machine.intact);
  });
});

async function firstKernel(folder: string): Promise<string | undefined> {
  try {
    for await (const kernel of Deno.readDir(folder)) {
      for await (const file of Deno.readDir(`${folder}/${kernel.name}/boot`)) {
        if (file.name.startsWith("vmlinuz-")) return `${folder}/${kernel.name}/boot/${file.name}`;
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
