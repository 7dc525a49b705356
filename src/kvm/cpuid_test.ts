import assert from "node:assert/strict";
import { physicalBits, vcpuCpuid } from "./cpuid.ts";
import { resetMsrs } from "./reset_state.ts";
import type { CpuidEntry } from "./structures.ts";

function leaf(
  leaf: number,
  eax: number,
  ebx: number,
  ecx: number,
  edx: number,
  subleaf = 0,
): CpuidEntry {
  return { leaf, subleaf, flags: 0, eax, ebx, ecx, edx };
}

/** As KVM reports on an AMD host (the lines that matter). */
const AMD = [
  leaf(0, 0x10, 0x68747541, 0x444d4163, 0x69746e65),
  leaf(1, 0xa00f11, 0x01020800, 0x81202000, 0x078bfbff),
  leaf(0xb, 0, 0, 0, 1),
  leaf(0x80000001, 0xa00f11, 0x40000000, 0x00400397, 0x23d3fbff),
  leaf(0x80000002, 0x20444d41, 0x43595045, 0, 0),
  leaf(0x80000008, 0x3030, 0x10000005, 0x7001, 0),
  leaf(0x8000000a, 1, 8, 0, 0x1),
  leaf(0x8000001d, 0x0121, 0x01c0003f, 0x3f, 0, 0),
  leaf(0x8000001d, 0x4163, 0x03c0003f, 0x7fff, 1, 3),
  leaf(0x8000001e, 0, 0, 0, 0),
  leaf(0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
  leaf(0x40000001, 0x01007efb, 0, 0, 0),
];
/** As KVM reports on an Intel host. */
const INTEL = [
  leaf(0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69),
  leaf(1, 0x606a6, 0x00400800, 0x77fefbff, 0x1f8bfbff),
  leaf(4, 0x1c004121, 0x02c0003f, 0x3f, 0, 0),
  leaf(4, 0x1c0fc163, 0x03c0003f, 0x7fff, 4, 3),
  leaf(4, 0, 0, 0, 0, 4),
  leaf(0x80000001, 0, 0, 0x121, 0x2c100800),
  leaf(0x80000008, 0x302e, 0, 0, 0),
];

function find(entries: CpuidEntry[], leaf: number, subleaf = 0): CpuidEntry {
  const entry = entries.find((e) => e.leaf === leaf && e.subleaf === subleaf);
  assert.ok(entry, `no leaf ${leaf.toString(16)}/${subleaf}`);
  return entry;
}

Deno.test("a vCPU knows its own APIC id and the hypervisor", () => {
  const third = vcpuCpuid(AMD, { id: 3, cpus: 4, tscDeadline: true });
  const { ebx, ecx, edx } = find(third, 1);
  assert.equal(ebx >>> 24, 3);
  assert.equal(ebx >>> 16 & 0xff, 4);
  assert.equal(ebx & 0xffff, 0x0800);
  assert.equal(ecx >>> 31, 1, "hypervisor");
  assert.equal(ecx >>> 24 & 1, 1, "TSC deadline");
  assert.equal(edx >>> 28 & 1, 1, "HTT");
  const alone = find(vcpuCpuid(AMD, { id: 0, cpus: 1, tscDeadline: false }), 1);
  assert.equal(alone.edx >>> 28 & 1, 0);
  assert.equal(alone.ecx >>> 24 & 1, 0);
});

Deno.test("x2APIC topology: one thread per core, all cores in one package", () => {
  for (const cpus of [1, 2, 3, 4, 8]) {
    const cpuid = vcpuCpuid(AMD, { id: cpus - 1, cpus, tscDeadline: true });
    assert.deepEqual({ ...find(cpuid, 0xb, 0) }, {
      ...leaf(0xb, 0, 1, 0x100, cpus - 1, 0),
      flags: 1,
    });
    const core = find(cpuid, 0xb, 1);
    assert.ok(2 ** core.eax >= cpus && 2 ** core.eax < cpus * 2);
    assert.deepEqual([core.ebx, core.ecx], [cpus, 0x201]);
    assert.equal(find(cpuid, 0xb, 2).ecx, 2);
    assert.equal(cpuid.filter((e) => e.leaf === 0xb).length, 3);
    assert.ok(!cpuid.some((e) => e.leaf === 0x1f), "not beyond the highest leaf");
  }
  assert.equal(
    vcpuCpuid(INTEL, { id: 0, cpus: 2, tscDeadline: true }).filter((e) => e.leaf === 0x1f).length,
    3,
  );
});

Deno.test("AMD's own leaves carry the topology on AMD only", () => {
  const amd = vcpuCpuid(AMD, { id: 2, cpus: 4, tscDeadline: true });
  assert.equal(find(amd, 0x80000008).ecx, 0x2003);
  assert.deepEqual([find(amd, 0x8000001e).eax, find(amd, 0x8000001e).ebx], [2, 2]);
  assert.equal(find(amd, 0x8000001d, 0).eax >>> 14 & 0xfff, 0, "L1 is a core's");
  assert.equal(find(amd, 0x8000001d, 3).eax >>> 14 & 0xfff, 3, "L3 is shared by all");
  const intel = vcpuCpuid(INTEL, { id: 2, cpus: 4, tscDeadline: true });
  assert.equal(find(intel, 0x80000008).ecx, 0);
  assert.equal(find(intel, 4, 0).eax, 0x0c000121);
  assert.equal(find(intel, 4, 3).eax, 0x0c00c163);
  assert.equal(find(intel, 4, 4).eax, 0);
});

Deno.test("guests cannot run guests unless asked, and find KVM", () => {
  const plain = vcpuCpuid(AMD, { id: 0, cpus: 2, tscDeadline: true });
  assert.equal(find(plain, 0x80000001).ecx & 4, 0);
  assert.equal(find(plain, 0x8000000a).ebx, 0);
  const nested = vcpuCpuid(AMD, { id: 0, cpus: 2, tscDeadline: true, nested: true });
  assert.equal(find(nested, 0x80000001).ecx & 4, 4);
  assert.equal(find(vcpuCpuid(INTEL, { id: 0, cpus: 1, tscDeadline: true }), 1).ecx & 0x20, 0);
  assert.equal(find(vcpuCpuid(INTEL, { id: 0, cpus: 1, tscDeadline: true }), 0x40000000).edx, 0x4d);
  assert.equal(find(plain, 0x40000001).eax, 0x01007efb);
});

Deno.test("what KVM reports stays, and the input is not changed", () => {
  const before = structuredClone(AMD);
  const cpuid = vcpuCpuid(AMD, { id: 1, cpus: 2, tscDeadline: true });
  assert.deepEqual(AMD, before);
  assert.deepEqual(find(cpuid, 0x80000002), AMD[4], "brand string");
  assert.equal(physicalBits(AMD), 48);
  assert.equal(physicalBits(INTEL), 46);
  assert.equal(physicalBits([]), 36);
});

Deno.test("MSRs are set where the CPU has them", () => {
  assert.deepEqual(resetMsrs([0x1a0, 0x277], AMD), [
    { index: 0x1a0, data: 1n },
    { index: 0x277, data: 0x0007040600070406n },
    { index: 0x2ff, data: 0x806n },
  ]);
  assert.deepEqual(resetMsrs([], []), []);
});
