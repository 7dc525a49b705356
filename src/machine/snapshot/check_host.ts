import type { CpuidEntry } from "../../kvm/mod.ts";
import { MachineError } from "../outcome.ts";

type Register = "eax" | "ebx" | "ecx" | "edx";

/** Registers of CPUID that are feature bits: what a guest has seen there must stay. Other leaves describe, and may differ. */
const FEATURES: readonly (readonly [leaf: number, ...registers: Register[]])[] = [
  [0x1, "ecx", "edx"],
  [0x7, "ebx", "ecx", "edx"],
  [0xd, "eax"],
  [0x4000_0001, "eax"],
  [0x8000_0001, "ecx", "edx"],
  [0x8000_0007, "edx"],
  [0x8000_0008, "ebx"],
];

/**
 * Makes sure that the processor of this host has what a saved guest uses.
 *
 * @throws {MachineError} naming what is missing
 */
export function checkProcessor(
  saved: { readonly cpuid: readonly CpuidEntry[]; readonly tscKhz: number },
  host: { readonly cpuid: readonly CpuidEntry[]; readonly tscKhz: number },
): void {
  const refuse = (reason: string): never => {
    throw new MachineError(
      "host",
      `The snapshot cannot be restored on this host: ${reason}. ` +
        "Restore it on a host with the same processor and kernel.",
    );
  };
  const vendor = (cpuid: readonly CpuidEntry[]) => {
    const { ebx, ecx, edx } = find(cpuid, 0, 0) ?? { ebx: 0, ecx: 0, edx: 0 };
    return [ebx, ecx, edx].join();
  };
  if (vendor(saved.cpuid) !== vendor(host.cpuid)) refuse("its processor is of another maker");
  for (const [leaf, ...registers] of FEATURES) {
    for (const entry of saved.cpuid.filter((e) => e.leaf === leaf)) {
      const here = find(host.cpuid, leaf, entry.subleaf);
      for (const register of registers) {
        const missing = (entry[register] & ~(here?.[register] ?? 0)) >>> 0;
        if (missing === 0) continue;
        const bits = `0x${missing.toString(16)}`;
        refuse(
          `its processor lacks features that the guest has seen ` +
            `(CPUID 0x${leaf.toString(16)}.${entry.subleaf} ${register} ${bits})`,
        );
      }
    }
  }
  if (saved.tscKhz !== 0 && host.tscKhz !== 0 && !near(saved.tscKhz, host.tscKhz)) {
    refuse(`its time-stamp counter runs at ${host.tscKhz} kHz and not at ${saved.tscKhz}`);
  }
}

/** Kernels measure the counter anew at each boot of the host. */
function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= a / 1000;
}

function find(cpuid: readonly CpuidEntry[], leaf: number, subleaf: number): CpuidEntry | undefined {
  return cpuid.find((entry) => entry.leaf === leaf && entry.subleaf === subleaf);
}
