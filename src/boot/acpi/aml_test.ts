import assert from "node:assert/strict";
import { buffer, eisaId, integer, method, name, path, pkg, ret, scope } from "./aml.ts";

const hex = (data: Uint8Array) => [...data].map((b) => b.toString(16).padStart(2, "0")).join(" ");

Deno.test("terms have the bytes that ACPI's own compiler makes", () => {
  assert.equal(hex(eisaId("PNP0A03")), "0c 41 d0 0a 03");
  assert.equal(hex(eisaId("PNP0501")), "0c 41 d0 05 01");
  assert.equal(hex(name("_UID", integer(1))), "08 5f 55 49 44 01");
  assert.equal(hex(integer(0x1234)), "0b 34 12");
  assert.equal(hex(integer(2 ** 32)), "0e 00 00 00 00 01 00 00 00");
  assert.equal(hex(path("\\_SB.PCI0")), "5c 2e 5f 53 42 5f 50 43 49 30");
  assert.equal(hex(path("A.B.C")).slice(0, 5), "2f 03");
  assert.equal(hex(pkg(integer(5), integer(0))), "12 05 02 0a 05 00");
  assert.equal(hex(method("_STA", 0, ret(integer(0xf)))), "14 09 5f 53 54 41 00 a4 0a 0f");
});

Deno.test("a package length counts itself and grows at 64, 4096 and a million bytes", () => {
  const lengthBytes = (body: number) => buffer(new Uint8Array(body)).subarray(1, 5);
  // One byte of opcode, then PkgLength, then a size of two or three bytes.
  assert.equal(hex(lengthBytes(60).subarray(0, 1)), "3f");
  assert.equal(hex(lengthBytes(61).subarray(0, 2)), "41 04");
  assert.equal(hex(lengthBytes(4090).subarray(0, 2)), "4f ff");
  assert.equal(hex(lengthBytes(4091).subarray(0, 3)), "81 00 01");
});

Deno.test("names that AML cannot carry are refused", () => {
  for (const bad of ["pci0", "PCI00", "1ABC", "A-B"]) assert.throws(() => path(bad), RangeError);
  assert.throws(() => eisaId("PNP03"), RangeError);
  assert.throws(() => scope("\\_SB.toolong"), RangeError);
});
