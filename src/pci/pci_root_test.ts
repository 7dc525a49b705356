import assert from "node:assert/strict";
import { DISK, TestDriver, testPlatform } from "./testing.ts";

Deno.test("Linux finds configuration mechanism 1, and the same functions by ECAM", () => {
  using machine = testPlatform([DISK, { ...DISK, name: "rng", type: 4, configSize: 0 }]);
  const { ports, mmio } = machine.control.platform;
  // pci_check_type1() and pci_sanity_check().
  ports.write(0xcfb, 1, 1);
  const before = ports.read(0xcf8, 4);
  ports.write(0xcf8, 4, 0x8000_0000);
  assert.equal(ports.read(0xcf8, 4), 0x8000_0000);
  ports.write(0xcf8, 4, before);
  const seen: string[] = [];
  for (let devfn = 0; devfn < 256; devfn++) {
    ports.write(0xcf8, 4, (0x8000_0000 | devfn << 8) >>> 0);
    const id = ports.read(0xcfc, 4);
    assert.equal(mmio.read(0xe000_0000 + (devfn << 12), 4), id);
    if (id === 0xffff_ffff) continue;
    ports.write(0xcf8, 4, (0x8000_0000 | devfn << 8 | 8) >>> 0);
    const classCode = ports.read(0xcfe, 2);
    seen.push(`${devfn >> 3}:${id.toString(16)}:${classCode.toString(16)}`);
  }
  assert.deepEqual(seen, ["0:81b36:600", "1:10421af4:180", "2:10441af4:ff"]);
});

Deno.test("other buses, functions and disabled addresses give all ones", () => {
  using machine = testPlatform([DISK]);
  const { ports, mmio } = machine.control.platform;
  for (const address of [0x0000_0000, 0x8001_0000, 0x8000_0100]) {
    ports.write(0xcf8, 4, address);
    assert.equal(ports.read(0xcfc, 4), 0xffff_ffff);
    ports.write(0xcfc, 4, 0);
  }
  assert.equal(mmio.read(0xe000_0000 + 0x100, 4), 0xffff_ffff, "no extended space");
  assert.equal(mmio.read(0xd000_0000, 4), 0xffff_ffff, "no BAR there");
});

Deno.test("a byte at 0xcf9 resets, and is no part of the address", () => {
  using machine = testPlatform([]);
  const { ports } = machine.control.platform;
  ports.write(0xcf8, 4, 0x8000_0810);
  ports.write(0xcf9, 1, 2);
  assert.equal(ports.read(0xcf9, 1), 2);
  assert.equal(ports.read(0xcf8, 4), 0x8000_0810);
  assert.deepEqual(machine.raised, []);
  ports.write(0xcf9, 1, 6);
  assert.deepEqual(machine.raised, ["reset"]);
});

Deno.test("a BAR tells its size, moves, and is silent while decoding is off", () => {
  using machine = testPlatform([DISK]);
  const driver = new TestDriver(machine.control, machine.vm, 1);
  const { mmio } = machine.control.platform;
  const home = driver.bar;
  assert.ok(home >= 0xc000_0000 && home < 0xe000_0000);
  assert.equal(mmio.read(home + 0x1e, 2), 0xffff, "memory space is off after power-on");
  // __pci_read_base() of a 64-bit memory BAR.
  driver.setConfig(0x10, 4, 0xffff_ffff);
  assert.equal(driver.config(0x10, 4), 0xffff_8004);
  driver.setConfig(0x14, 4, 0xffff_ffff);
  assert.equal(driver.config(0x14, 4), 0xffff_ffff);
  assert.equal(driver.config(0x18, 4), 0, "the next BAR does not exist");
  driver.bar = home;
  driver.setConfig(4, 2, 6);
  driver.setCommon(0x16, 2, 1);
  assert.equal(mmio.read(home + 0x16, 2), 1);
  for (const away of [0xd123_8000, 2 ** 36 + 0x8000]) {
    driver.bar = away;
    assert.equal(mmio.read(away + 0x16, 2), 1);
    assert.equal(mmio.read(home + 0x16, 2), 0xffff);
  }
  driver.setConfig(4, 2, 0);
  assert.equal(mmio.read(2 ** 36 + 0x8016, 2), 0xffff);
});

Deno.test("read-only registers stay, writable ones keep their bits", () => {
  using machine = testPlatform([DISK]);
  const driver = new TestDriver(machine.control, machine.vm, 1);
  const before = Array.from({ length: 64 }, (_, i) => driver.config(4 * i, 4));
  for (let i = 0; i < 64; i++) driver.setConfig(4 * i, 4, 0xffff_ffff);
  assert.equal(driver.config(0, 4), before[0]);
  assert.equal(driver.config(4, 2), 0x0406);
  assert.equal(driver.config(6, 2), 0x0010);
  assert.equal(driver.config(0x3c, 2), 0x00ff, "an interrupt line, but no pin");
  const changed = before.flatMap((value, i) => driver.config(4 * i, 4) === value ? [] : [4 * i]);
  const access = driver.virtioCapability(5).at;
  const msix = driver.capabilities().find(({ id }) => id === 0x11)?.at;
  assert.deepEqual(
    changed,
    [4, 0xc, 0x10, 0x14, 0x3c, msix, access + 4, access + 8, access + 12, access + 16].sort((
      a,
      b,
    ) => Number(a) - Number(b)),
  );
});
