import assert from "node:assert/strict";
import { KvmRun } from "./kvm_run.ts";

const BASE = 0x2000;

function page(): { run: KvmRun; view: DataView } {
  const view = new DataView(new ArrayBuffer(0x8000));
  return { run: new KvmRun({ view }, BASE), view };
}

Deno.test("port accesses of every size, and strings of them", () => {
  const { run, view } = page();
  view.setUint32(BASE + 8, 2, true);
  view.setUint8(BASE + 32, 1);
  view.setUint8(BASE + 33, 2);
  view.setUint16(BASE + 34, 0x3f8, true);
  view.setUint32(BASE + 36, 3, true);
  view.setUint32(BASE + 40, 0x1000, true);
  view.setUint16(BASE + 0x1004, 0xbeef, true);
  assert.deepEqual(
    [run.exitReason, run.ioIsWrite, run.ioSize, run.ioPort, run.ioCount],
    [2, true, 2, 0x3f8, 3],
  );
  assert.equal(run.ioValue(2), 0xbeef);
  run.setIoValue(0x1234, 1);
  assert.equal(view.getUint32(BASE + 0x1000, true), 0x12340000);
  for (const [size, read] of [[1, 0x78], [4, 0x12345678]]) {
    view.setUint8(BASE + 33, size);
    run.setIoValue(0x12345678);
    assert.equal(run.ioValue(), read);
  }
});

Deno.test("memory accesses, also of eight bytes and above 4 GiB", () => {
  const { run, view } = page();
  view.setBigUint64(BASE + 32, 0x10_c000_1000n, true);
  view.setBigUint64(BASE + 40, 0x8899aabb_44556677n, true);
  view.setUint32(BASE + 48, 8, true);
  view.setUint8(BASE + 52, 1);
  assert.deepEqual([run.mmioAddress, run.mmioSize, run.mmioIsWrite], [0x10_c000_1000, 8, true]);
  assert.deepEqual([run.mmioValue(4), run.mmioValue(4, 4)], [0x44556677, 0x8899aabb]);
  assert.deepEqual([run.mmioValue(2), run.mmioValue(1, 7), run.mmioByte(7)], [0x6677, 0x88, 0x88]);
  run.setMmioValue(0xffffffff, 4, 4);
  run.setMmioByte(0, 1);
  assert.equal(view.getBigUint64(BASE + 40, true), 0xffffffff_44556601n);
});

Deno.test("an immediate exit is asked for in the second byte", () => {
  const { run, view } = page();
  run.immediateExit = true;
  assert.equal(view.getUint8(BASE + 1), 1);
  run.immediateExit = false;
  assert.equal(run.immediateExit, false);
});
