import assert from "node:assert/strict";
import { Errno, ioctl, ioctlAt, ioctlRaw, openFile, Window } from "./mod.ts";

const window = Window.reserve(2 ** 36);
const TIOCGPTN = 0x8004_5430;
const TIOCSPTLCK = 0x4004_5431;
const TCGETS = 0x5401;

Deno.test("arguments: a number, bytes, a structure in the window", () => {
  using terminal = openFile("/dev/ptmx", { write: true });
  const bytes = new Uint8Array([255, 255, 255, 255]);
  assert.equal(ioctl(terminal, TIOCGPTN, bytes), 0);
  const number = new DataView(bytes.buffer).getUint32(0, true);
  assert.notEqual(number, 0xffff_ffff);
  const offset = window.allocate(4096);
  window.mapAnonymous(offset, 4096);
  assert.equal(ioctlAt(terminal, TIOCGPTN, offset), 0);
  assert.equal(window.view.getUint32(offset, true), number);
  window.view.setUint32(offset, 0, true);
  assert.equal(ioctlRaw(terminal, TIOCSPTLCK, window.base + offset), 0);
  window.free(offset, 4096);
});

Deno.test("a structure that does not lie in the window is refused", () => {
  using terminal = openFile("/dev/ptmx", { write: true });
  for (const offset of [-4, window.size - 3, window.size, NaN, 2 ** 60]) {
    assert.equal(ioctlAt(terminal, TIOCGPTN, offset), -Errno.EFAULT, `${offset}`);
  }
});

Deno.test("errors", () => {
  using file = openFile("/etc/passwd");
  assert.throws(() => ioctl(file, TCGETS), {
    code: "ENOTTY",
    message: "Cannot perform device request 0x5401: not supported by this kind of file",
  });
  assert.equal(ioctlRaw(file, TCGETS, 0), -Errno.ENOTTY);
});
