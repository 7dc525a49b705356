import assert from "node:assert/strict";
import { fileStat, leakedDescriptors, Seal, seals, trackDescriptors, Window } from "../os/mod.ts";
import { HIGH_MEMORY_START, MachineMemory, PCI_HOLE_START, ramLayout } from "./mod.ts";

const GIB = 2 ** 30;
const window = Window.reserve(2 ** 40);

Deno.test("RAM leaves the PCI hole free", () => {
  assert.deepEqual(ramLayout(2 ** 20), [{ guestAddress: 0, size: 2 ** 20 }]);
  assert.deepEqual(ramLayout(3 * GIB), [{ guestAddress: 0, size: PCI_HOLE_START }]);
  assert.deepEqual(ramLayout(6 * GIB), [
    { guestAddress: 0, size: PCI_HOLE_START },
    { guestAddress: HIGH_MEMORY_START, size: 3 * GIB },
  ]);
  for (const bad of [0, -4096, 1000, NaN]) assert.throws(() => ramLayout(bad), RangeError);
});

Deno.test("16 GiB cost nothing until they are touched; each region is sealed memory of its own", () => {
  trackDescriptors();
  {
    using memory = MachineMemory.create(window, 16 * GIB);
    assert.deepEqual(memory.regions.map((r) => fileStat(r.fd).size), [3 * GIB, 13 * GIB]);
    for (const { fd } of memory.regions) {
      const size = Seal.Seal | Seal.Shrink | Seal.Grow;
      assert.equal(seals(fd) & size, size);
    }
    const last = HIGH_MEMORY_START + 13 * GIB - 8;
    memory.guest.write(last, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
    assert.equal(window.view.getUint8(memory.ramBase + last + 7), 8);
    assert.equal(memory.guest.translate(PCI_HOLE_START, 1), -1);
  }
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});

Deno.test("memory is given back to the window", () => {
  const first = MachineMemory.create(window, 2 ** 20);
  first[Symbol.dispose]();
  using second = MachineMemory.create(window, 2 ** 20);
  assert.equal(second.ramBase, first.ramBase);
});
