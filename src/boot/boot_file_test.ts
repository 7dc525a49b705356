import assert from "node:assert/strict";
import { MachineMemory } from "../memory/mod.ts";
import { leakedDescriptors, trackDescriptors, Window } from "../os/mod.ts";
import { openBootFile } from "./boot_file.ts";
import { fakeElf, MIB } from "./fake_machine.ts";
import { KernelError, type KernelErrorReason } from "./kernel_error.ts";
import { loadKernel } from "./load_kernel.ts";

const window = Window.reserve(2 ** 40);

function refused(reason: KernelErrorReason, message: RegExp, call: () => unknown): void {
  assert.throws(call, (error) => {
    assert.ok(error instanceof KernelError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("a kernel file is read into guest memory, and everything is closed again", () => {
  const path = Deno.makeTempFileSync();
  trackDescriptors();
  try {
    Deno.writeFileSync(path, fakeElf({ entry: 2 * MIB }));
    using memory = MachineMemory.create(window, 16 * MIB);
    using kernel = openBootFile(path, window);
    const entry = loadKernel(memory.guest, kernel, { cmdline: "" });
    assert.equal(entry.instruction, 2 * MIB);
    assert.equal(memory.guest.read(2 * MIB + 0xffff, 1)[0], 0x90);
    refused("truncated", /truncated/, () => kernel.read(kernel.size - 1, 2));
    refused("does-not-fit", /beyond/, () => kernel.copy(0, 100, memory.guest, 16 * MIB - 99));
    // Someone shortens the file while we read it.
    Deno.truncateSync(path, 1000);
    refused("truncated", /it has 1000/, () => kernel.copy(0, 2000, memory.guest, 0));
  } finally {
    Deno.removeSync(path);
  }
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});

Deno.test("files that cannot be read are named", () => {
  refused(
    "missing",
    /Cannot boot \/no\/kernel: there is no such file/,
    () => openBootFile("/no/kernel", window),
  );
  refused(
    "initrd-missing",
    /Cannot load the initrd \/no\/initrd: there is no such file/,
    () => openBootFile("/no/initrd", window, "initrd"),
  );
  refused("not-a-kernel", /not a regular file/, () => openBootFile("/tmp", window));
  refused("not-a-kernel", /not a regular file/, () => openBootFile("/dev/zero", window));
});
