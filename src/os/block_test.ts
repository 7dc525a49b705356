import assert from "node:assert/strict";
import {
  blockDiscard,
  blockZeroout,
  Errno,
  fileStat,
  openFile,
  openMode,
  pread,
  pwrite,
  Window,
} from "./mod.ts";

const window = Window.reserve(2 ** 36);
const memory = window.allocate(65536);
window.mapAnonymous(memory, 65536);

const run = (program: string, ...args: string[]) => {
  try {
    const { success, stdout } = new Deno.Command(program, { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined;
  }
};

Deno.test("a block device: size, block size, zeroing, discarding", () => {
  const image = Deno.makeTempFileSync();
  Deno.truncateSync(image, 1 << 20);
  const device = Deno.uid() === 0 ? run("losetup", "-f", "--show", image) : undefined;
  try {
    if (device === undefined) {
      console.log("not run: no loop device to be had here");
      return;
    }
    using file = openFile(device, { write: true, direct: true });
    const { size, blockSize, isBlockDevice, isRegular } = fileStat(file);
    assert.deepEqual(
      { size, blockSize, isBlockDevice, isRegular },
      { size: 1 << 20, blockSize: 512, isBlockDevice: true, isRegular: false },
    );
    assert.equal(openMode(file).direct, true);
    window.bytes(memory, 65536).fill(5);
    assert.equal(pwrite(file, memory, 65536, 0), 65536);
    assert.equal(blockZeroout(file, 4096, 4096), 0);
    assert.equal(pread(file, memory, 65536, 0), 65536);
    const at = (offset: number) => window.view.getUint8(memory + offset);
    assert.deepEqual([at(4095), at(4096), at(8191), at(8192)], [5, 0, 0, 5]);
    assert.equal(blockDiscard(file, 8192, 8192), 0);
    assert.equal(blockDiscard(file, 1, 5), -Errno.EINVAL, "not whole blocks");
    assert.equal(blockDiscard(file, -512, 512), -Errno.EINVAL);
    assert.equal(pread(file, memory, 512, 1), -Errno.EINVAL, "O_DIRECT wants alignment");
  } finally {
    if (device !== undefined) run("losetup", "-d", device);
    Deno.removeSync(image);
  }
});

Deno.test("a plain file is no block device", () => {
  using file = openFile("/etc/passwd");
  assert.equal(blockDiscard(file, 0, 512), -Errno.ENOTTY);
});
