import { code32, code64, flatData, type Sregs, taskSegment, type Vcpu } from "../kvm/mod.ts";
import type { Entry } from "./entry.ts";
import { BOOT_CODE_SELECTOR, BOOT_DATA_SELECTOR, GDT_LIMIT } from "./gdt.ts";

/** CR0: protection enable, extension type (always 1), paging. */
const Cr0 = { ProtectionEnable: 0x1n, ExtensionType: 0x10n, Paging: 0x8000_0000n } as const;
const CR4_PAE = 0x20n;
/** EFER: long mode enable and active. */
const EFER_LONG_MODE = 0x500n;
/** Bit 1 of RFLAGS always reads 1; interrupts stay off. */
const RESERVED_FLAG = 2n;

/** Sets the registers of the boot vCPU for entry into a loaded kernel. Throws OsError. */
export function applyEntry(vcpu: Vcpu, entry: Entry): void {
  const sregs = flat(vcpu.getSregs(), entry);
  const rip = BigInt(entry.instruction);
  if (entry.kind === "linux64") {
    vcpu.setSregs({
      ...sregs,
      gdt: { base: BigInt(entry.gdt), limit: GDT_LIMIT, padding: new Uint8Array(6) },
      cr0: Cr0.ProtectionEnable | Cr0.ExtensionType | Cr0.Paging,
      cr3: BigInt(entry.pageTables),
      cr4: CR4_PAE,
      efer: EFER_LONG_MODE,
    });
    vcpu.setRegs({ rip, rflags: RESERVED_FLAG, rsi: BigInt(entry.zeroPage) });
  } else {
    vcpu.setSregs({
      ...sregs,
      cr0: Cr0.ProtectionEnable | Cr0.ExtensionType,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
    });
    vcpu.setRegs({ rip, rflags: RESERVED_FLAG, rbx: BigInt(entry.startInfo) });
  }
}

function flat(sregs: Sregs, { kind }: Entry): Sregs {
  const data = flatData(BOOT_DATA_SELECTOR);
  const cs = kind === "linux64" ? code64(BOOT_CODE_SELECTOR) : code32(BOOT_CODE_SELECTOR);
  return { ...sregs, cs, ds: data, es: data, fs: data, gs: data, ss: data, tr: taskSegment() };
}
