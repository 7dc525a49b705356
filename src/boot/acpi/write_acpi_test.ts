import assert from "node:assert/strict";
import { FakeMachine, MIB } from "../fake_machine.ts";
import { pciWindows } from "../pci_windows.ts";
import { writeAcpi } from "./write_acpi.ts";

/** All tables that are reachable from the RSDP, by signature, as a kernel walks them. */
function walk(cpus: number): Map<string, Uint8Array> {
  const { memory } = new FakeMachine(2 * MIB);
  const rsdp = writeAcpi(memory, { cpus, pciWindows: pciWindows(memory, 40) });
  const tables = new Map<string, Uint8Array>();
  const read = (address: number): Uint8Array => {
    const length = new DataView(memory.read(address + 4, 4).slice().buffer).getUint32(0, true);
    const data = memory.read(address, length).slice();
    tables.set(String.fromCharCode(...data.subarray(0, 4)), data);
    return data;
  };
  const root = memory.read(rsdp, 36).slice();
  tables.set("RSDP", root);
  const xsdt = read(new DataView(root.buffer).getUint32(24, true));
  for (let at = 36; at < xsdt.length; at += 8) {
    const table = read(new DataView(xsdt.buffer).getUint32(at, true));
    if (table[0] !== 0x46) continue;
    read(new DataView(table.buffer).getUint32(36, true));
    read(new DataView(table.buffer).getUint32(40, true));
  }
  return tables;
}

const sum = (data: Uint8Array) => data.reduce((total, byte) => total + byte, 0) & 0xff;

Deno.test("every table has its length and a right checksum", () => {
  const tables = walk(4);
  assert.deepEqual([...tables.keys()].sort(), [
    "APIC",
    "DSDT",
    "FACP",
    "FACS",
    "MCFG",
    "RSDP",
    "XSDT",
  ]);
  for (const [signature, data] of tables) {
    if (signature !== "FACS") assert.equal(sum(data), 0, signature);
  }
  assert.equal(sum(tables.get("RSDP")?.subarray(0, 20) ?? new Uint8Array([1])), 0);
  assert.equal(tables.get("FACP")?.length, 276);
  assert.equal(tables.get("APIC")?.length, 44 + 4 * 8 + 12 + 10 + 6);
  assert.equal(tables.get("MCFG")?.length, 60);
});

Deno.test("the tables of the largest machine fit, and no machine has no CPU", () => {
  assert.equal(walk(1024).get("APIC")?.length, 44 + 255 * 8 + 769 * 16 + 12 + 10 + 6);
  assert.throws(() => walk(0), RangeError);
});

Deno.test("ACPI's own tools read the tables without complaint", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const [signature, data] of walk(2)) {
      if (signature === "RSDP") continue;
      const file = `${folder}/${signature}.dat`;
      await Deno.writeFile(file, data);
      let text: string;
      try {
        const { stdout, stderr } = await new Deno.Command("iasl", { args: ["-d", file] }).output();
        text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        console.log("skipped: iasl is not installed (package acpica-tools)");
        return;
      }
      assert.doesNotMatch(text, /error|warning|invalid/i, signature);
    }
    const dsdt = await Deno.readTextFile(`${folder}/DSDT.dsl`);
    assert.match(dsdt, /Device \(PCI0\)[^]*EisaId \("PNP0A08"\)[^]*WordBusNumber/);
    assert.match(dsdt, /Memory32Fixed \(ReadWrite,\s+0xE0000000,[^]*?0x00100000,/);
    assert.match(dsdt, /Name \(\\_S5, Package \(0x04\)/);
    // What iasl disassembles it also compiles.
    const { code, stdout } = await new Deno.Command("iasl", { args: [`${folder}/DSDT.dsl`] })
      .output();
    assert.equal(code, 0);
    assert.match(new TextDecoder().decode(stdout), /0 Errors, 0 Warnings/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
