import assert from "node:assert/strict";
import { MemoryKind, memoryMap } from "./memory_map.ts";
import { pciWindows } from "./pci_windows.ts";

const GIB = 2 ** 30;
const region = (guestAddress: number, size: number) => ({ guestAddress, size, windowOffset: 0 });
const large = { regions: [region(0, 3 * GIB), region(4 * GIB, 3 * GIB)] };

Deno.test("the memory map has no overlaps and all RAM but the legacy holes", () => {
  const map = memoryMap(large);
  for (let i = 1; i < map.length; i++) {
    assert.ok(map[i].base >= map[i - 1].base + map[i - 1].size, `line ${i} overlaps`);
  }
  const ram = map.filter((e) => e.kind === MemoryKind.Ram).reduce((sum, e) => sum + e.size, 0);
  assert.equal(ram, 6 * GIB - (0x10_0000 - 0x9_fc00));
  const reserved = (address: number) =>
    map.some((e) =>
      e.kind === MemoryKind.Reserved && address >= e.base && address < e.base + e.size
    );
  assert.ok(reserved(0xe000_0000) && reserved(0xe_0000) && reserved(0xfffb_d000));
});

Deno.test("the high window lies above RAM and inside the physical address space", () => {
  assert.deepEqual(pciWindows(large, 48).high, { base: 64 * GIB, size: 256 * GIB });
  const huge = { regions: [region(0, 3 * GIB), region(4 * GIB, 100 * GIB + 4096)] };
  assert.deepEqual(pciWindows(huge, 40).high, { base: 105 * GIB, size: 256 * GIB });
  assert.deepEqual(pciWindows(large, 37).high, { base: 64 * GIB, size: 64 * GIB });
  assert.equal(pciWindows(large, 36).high, undefined);
});
