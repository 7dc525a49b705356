import assert from "node:assert/strict";
import type { CpuidEntry } from "../../kvm/mod.ts";
import { checkProcessor } from "./check_host.ts";

const leaf = (leaf: number, values: Partial<CpuidEntry> = {}): CpuidEntry => ({
  ...{ leaf, subleaf: 0, flags: 0, eax: 0, ebx: 0, ecx: 0, edx: 0 },
  ...values,
});
const processor = (more: CpuidEntry[] = [], tscKhz = 2_000_000) => ({
  cpuid: [leaf(0, { ebx: 1, ecx: 2, edx: 3 }), leaf(1, { ecx: 0x8000_0001, edx: 0xff }), ...more],
  tscKhz,
});

Deno.test("a processor that has what the guest has seen will do, whatever else it has", () => {
  const saved = processor([leaf(7, { ebx: 0x20 }), leaf(0x16, { eax: 2000 })]);
  checkProcessor(saved, processor([leaf(7, { ebx: 0x8000_0021 }), leaf(0x16, { eax: 3000 })]));
  checkProcessor(saved, { ...saved, tscKhz: 2_000_100 });
  checkProcessor(saved, { ...saved, tscKhz: 0 });
});

Deno.test("one that lacks something is refused, and told what", () => {
  const saved = processor([leaf(7, { ebx: 0x8000_0020 })]);
  assert.throws(() => checkProcessor(saved, processor()), /CPUID 0x7\.0 ebx 0x80000020/);
  assert.throws(
    () => checkProcessor(saved, processor([leaf(7, { ebx: 0x20 })])),
    /CPUID 0x7\.0 ebx 0x80000000/,
  );
  assert.throws(
    () =>
      checkProcessor(saved, { ...saved, cpuid: [leaf(0, { ebx: 9 }), ...saved.cpuid.slice(1)] }),
    /of another maker/,
  );
  assert.throws(
    () => checkProcessor(saved, { ...saved, tscKhz: 3_000_000 }),
    /runs at 3000000 kHz and not at 2000000/,
  );
});
