import assert from "node:assert/strict";
import { array, bytes, struct, u16, u32, u64, u64big, u8 } from "./mod.ts";

/** struct virtio_blk_req, virtio 1.2 §5.2.6: a layout with known offsets. */
const BlkReq = struct({ type: u32, reserved: u32, sector: u64 });

Deno.test("a layout knows its size and offsets", () => {
  assert.equal(BlkReq.size, 16);
  assert.deepEqual({ ...BlkReq.offset }, { type: 0, reserved: 4, sector: 8 });
});

Deno.test("a view reads and writes little-endian memory in place", () => {
  const memory = new Uint8Array(32);
  const view = BlkReq.at(new DataView(memory.buffer), 8);
  view.type = 0x01020304;
  view.sector = 2 ** 40 + 5;
  assert.deepEqual([...memory.slice(8, 12)], [4, 3, 2, 1]);
  assert.deepEqual([...memory.slice(16, 24)], [5, 0, 0, 0, 0, 1, 0, 0]);
  assert.equal(view.sector, 2 ** 40 + 5);
});

Deno.test("structures nest, and work over shared memory", () => {
  const Pair = struct({ a: u8, b: u16 });
  const Outer = struct({ head: Pair, list: array(u16, 3), mask: u64big, tail: bytes(4) });
  const state = new DataView(new SharedArrayBuffer(Outer.size));
  const outer = Outer.at(state);
  outer.head.b = 0xbeef;
  outer.list = [1, 2, 3];
  outer.mask = 1n << 63n;
  outer.tail = new Uint8Array([9]);
  assert.equal(state.getUint16(1, true), 0xbeef);
  assert.deepEqual(outer.list, [1, 2, 3]);
  assert.equal(outer.mask, 1n << 63n);
  assert.deepEqual([...outer.tail], [9, 0, 0, 0]);
});

Deno.test("encode and decode copy, and refuse what does not fit", () => {
  assert.equal(BlkReq.decode(BlkReq.encode({ sector: 7 })).sector, 7);
  assert.throws(() => BlkReq.decode(new Uint8Array(15)), RangeError);
  assert.throws(() => struct({ name: bytes(2) }).encode({ name: new Uint8Array(3) }), RangeError);
});
