import { type CpuidEntry, SIGNIFICANT_SUBLEAF } from "./structures.ts";

/** What of a vCPU's CPUID is not the same for all machines of this host. */
export interface CpuidOptions {
  /** APIC id. */
  readonly id: number;
  /** vCPUs of the machine: cores of one package, one thread each. */
  readonly cpus: number;
  /** KVM_CAP_TSC_DEADLINE_TIMER: what the bit goes by, since older kernels never report it. */
  readonly tscDeadline: boolean;
  /** Whether the guest may run guests (SVM, VMX). Default: no, it is a large surface. */
  readonly nested?: boolean;
}

const Leaf1 = {
  Ecx: { Vmx: 1 << 5, TscDeadline: 1 << 24, Osxsave: 1 << 27, Hypervisor: 1 << 31 },
  Edx: { Htt: 1 << 28 },
} as const;
const ExtendedEcx = { CmpLegacy: 1 << 1, Svm: 1 << 2, TopologyExtensions: 1 << 22 } as const;

const HYPERVISOR_LEAF = 0x4000_0000;
const HYPERVISOR_FEATURES = 0x4000_0001;
/** "KVMKVMKVM" in EBX, ECX, EDX. */
const KVM_SIGNATURE = [0x4b4d_564b, 0x564b_4d56, 0x4d] as const;
/** Topology level types of leaves 0xB and 0x1F. */
const Level = { Invalid: 0, Thread: 1, Core: 2 } as const;

/** Bits that an APIC id needs to tell `count` CPUs apart. */
function idBits(count: number): number {
  return Math.ceil(Math.log2(count));
}

function withBits(value: number, low: number, width: number, field: number): number {
  const mask = width === 32 ? 0xffff_ffff : (1 << width) - 1;
  return ((value & ~(mask << low)) | ((field & mask) << low)) >>> 0;
}

/** Guest-physical address bits (leaf 0x80000008 EAX), 36 when the CPU does not tell. */
export function physicalBits(entries: readonly CpuidEntry[]): number {
  return (entries.find((e) => e.leaf === 0x8000_0008)?.eax ?? 36) & 0xff;
}

/**
 * The CPUID of one vCPU: what KVM supports on this host, brand string and all, with the machine's own
 * topology (Intel SDM vol. 2 CPUID, AMD APM vol. 3 appendix E). No vendor is assumed: leaves that KVM
 * does not report stay away, fields that only one vendor defines are set where that vendor's feature
 * bits are.
 */
export function vcpuCpuid(
  supported: readonly CpuidEntry[],
  options: CpuidOptions,
): CpuidEntry[] {
  const last = supported.find((e) => e.leaf === 0)?.eax ?? 0;
  const cmp = supported.find((e) => e.leaf === 0x8000_0001)?.ecx ?? 0;
  const amdTopology = (cmp & (ExtendedEcx.CmpLegacy | ExtendedEcx.TopologyExtensions)) !== 0;
  const entries = supported
    .filter((e) => e.leaf !== 0xb && e.leaf !== 0x1f)
    .map((e) => adjusted({ ...e }, options, amdTopology));
  // x2APIC topology: a core level tells a valid one.
  for (const leaf of [0xb, 0x1f]) {
    if (last >= leaf) entries.push(...extendedTopology(leaf, options));
  }
  if (!entries.some((e) => e.leaf === HYPERVISOR_LEAF)) {
    entries.push(kvmSignature({ ...EMPTY, leaf: HYPERVISOR_LEAF }));
  }
  return entries;
}

const EMPTY: CpuidEntry = { leaf: 0, subleaf: 0, flags: 0, eax: 0, ebx: 0, ecx: 0, edx: 0 };

function adjusted(e: CpuidEntry, options: CpuidOptions, amdTopology: boolean): CpuidEntry {
  const { id, cpus } = options;
  const bits = idBits(cpus);
  switch (e.leaf) {
    case 0x1:
      e.ebx = withBits(e.ebx, 24, 8, id);
      e.ebx = withBits(e.ebx, 16, 8, Math.min(2 ** bits, 255));
      e.ecx = (e.ecx | Leaf1.Ecx.Hypervisor) & ~(Leaf1.Ecx.Osxsave | Leaf1.Ecx.TscDeadline);
      if (options.tscDeadline) e.ecx |= Leaf1.Ecx.TscDeadline;
      if (!options.nested) e.ecx &= ~Leaf1.Ecx.Vmx;
      e.ecx >>>= 0;
      e.edx = (cpus > 1 ? e.edx | Leaf1.Edx.Htt : e.edx & ~Leaf1.Edx.Htt) >>> 0;
      return e;
    case 0x4:
      if ((e.eax & 0x1f) === 0) return e;
      e.eax = withBits(e.eax, 14, 12, cacheSharing(e.eax, bits));
      e.eax = withBits(e.eax, 26, 6, Math.min(2 ** bits - 1, 63));
      return e;
    case HYPERVISOR_LEAF:
      return kvmSignature(e);
    case 0x8000_0001:
      if (amdTopology) {
        e.ecx = (cpus > 1 ? e.ecx | ExtendedEcx.CmpLegacy : e.ecx & ~ExtendedEcx.CmpLegacy) >>> 0;
      }
      if (!options.nested) e.ecx = (e.ecx & ~ExtendedEcx.Svm) >>> 0;
      return e;
    case 0x8000_0008:
      // NC and ApicIdSize; reserved outside of AMD's family.
      if (amdTopology) e.ecx = withBits(withBits(e.ecx, 0, 8, cpus - 1), 12, 4, bits);
      return e;
    case 0x8000_000a:
      return options.nested ? e : { ...e, eax: 0, ebx: 0, ecx: 0, edx: 0 };
    case 0x8000_001d:
      if ((e.eax & 0x1f) !== 0) e.eax = withBits(e.eax, 14, 12, cacheSharing(e.eax, bits));
      return e;
    case 0x8000_001e:
      // APIC id; core id, one thread per core; node 0 of one.
      return amdTopology ? { ...e, eax: id, ebx: id & 0xff, ecx: 0, edx: 0 } : e;
    default:
      return e;
  }
}

/** Caches of levels 1 and 2 belong to a core, those above to the package. Gives the field's value (count - 1). */
function cacheSharing(eax: number, bits: number): number {
  const level = eax >> 5 & 7;
  return level >= 3 ? 2 ** bits - 1 : 0;
}

function extendedTopology(leaf: number, { id, cpus }: CpuidOptions): CpuidEntry[] {
  const level = (subleaf: number, type: number, shift: number, count: number): CpuidEntry => ({
    leaf,
    subleaf,
    flags: SIGNIFICANT_SUBLEAF,
    eax: shift,
    ebx: count,
    ecx: type << 8 | subleaf,
    edx: id,
  });
  return [
    level(0, Level.Thread, 0, 1),
    level(1, Level.Core, idBits(cpus), cpus),
    level(2, Level.Invalid, 0, 0),
  ];
}

function kvmSignature(e: CpuidEntry): CpuidEntry {
  const [ebx, ecx, edx] = KVM_SIGNATURE;
  return { ...e, eax: Math.max(e.eax, HYPERVISOR_FEATURES), ebx, ecx, edx };
}
