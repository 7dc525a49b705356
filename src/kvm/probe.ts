import { kvmRunLimited, type Window } from "../os/mod.ts";
import { ExitReason, exitReasonName } from "./exit_reason.ts";
import { code32, flatData, taskSegment } from "./flat_segments.ts";
import { HostError } from "./host_error.ts";
import type { Kvm } from "./kvm.ts";
import type { Vcpu } from "./vcpu.ts";

/** What the probe guest showed. */
export interface KvmProbe {
  /** Rounds of `dec; jnz` in a second, of the best run. */
  readonly iterationsPerSecond: number;
  /** Whether the processor itself runs guest code. */
  readonly real: boolean;
}

/**
 * Where real begins. Measured: 0.3 to 2.2 million iterations a second under a KVM that interprets, 50 million and
 * more in these short runs on a nested KVM in software emulation, a hundred million and more on hardware.
 */
export const REAL_ITERATIONS_PER_SECOND = 15e6;

/** Rounds of one run: 10 to 30 ms where KVM interprets, far below one elsewhere. */
const ITERATIONS = 10_000;
/** On a busy machine a run may be interrupted and look slow: one fast run in so many is proof enough. */
const RUNS = 100;
/** For all runs together, in ms. */
const LIMIT = 1000;
const PAGE = 4096;
const CODE_ADDRESS = 0x1000;
/** Out of the way of the one page of code. */
const TSS_ADDRESS = 0x10_0000;
const IDENTITY_MAP_ADDRESS = 0x11_0000;
/** CR0.PE, and ET which always reads 1. */
const PROTECTED_MODE = 0x11n;
const RESERVED_FLAG = 2n;
/** again: dec ecx; jnz again; hlt */
const CODE = [0x49, 0x75, 0xfd, 0xf4];

/**
 * Runs a guest of three instructions and measures its speed: a /dev/kvm that opens may still interpret
 * guest code. Takes under a millisecond of guest time where KVM is real, a second elsewhere.
 *
 * @throws OsError when the guest cannot even be made
 */
export function probeKvm(kvm: Kvm, window: Window): KvmProbe {
  using vm = kvm.createVm();
  vm.setTssAddress(TSS_ADDRESS);
  vm.setIdentityMapAddress(IDENTITY_MAP_ADDRESS);
  const page = window.allocate(PAGE);
  try {
    window.mapAnonymous(page, PAGE);
    window.bytes(page, CODE.length).set(CODE);
    vm.setMemoryRegion({
      slot: 0,
      guestAddress: CODE_ADDRESS,
      size: PAGE,
      userAddress: window.base + page,
    });
    using vcpu = vm.createVcpu(0, window);
    enterProtectedMode(vcpu);
    return measure(vcpu);
  } finally {
    window.free(page, PAGE);
  }
}

/** Throws HostError ("emulated"), with what was measured, when KVM only interprets guests. */
export function requireRealKvm(kvm: Kvm, window: Window): KvmProbe {
  const probe = probeKvm(kvm, window);
  if (probe.real) return probe;
  const millions = (probe.iterationsPerSecond / 1e6).toFixed(1);
  throw new HostError(
    "emulated",
    `${kvm.path} opens, but only emulates: a guest loop runs at ${millions} million iterations a ` +
      `second, where a processor makes ${REAL_ITERATIONS_PER_SECOND / 1e6} at the very least. ` +
      "Use a host whose module kvm_amd or kvm_intel is loaded.",
  );
}

function enterProtectedMode(vcpu: Vcpu): void {
  const data = flatData(0x10);
  vcpu.setSregs({
    ...vcpu.getSregs(),
    cs: code32(8),
    ds: data,
    es: data,
    fs: data,
    gs: data,
    ss: data,
    tr: taskSegment(),
    cr0: PROTECTED_MODE,
  });
}

function measure(vcpu: Vcpu): KvmProbe {
  let best = 0;
  const deadline = performance.now() + LIMIT;
  for (let run = 0; run < RUNS && best < REAL_ITERATIONS_PER_SECOND; run++) {
    vcpu.setRegs({ rip: BigInt(CODE_ADDRESS), rflags: RESERVED_FLAG, rcx: BigInt(ITERATIONS) });
    const start = performance.now();
    const left = Math.ceil(deadline - start);
    if (left <= 0) break;
    const result = kvmRunLimited(vcpu.fd, left);
    const seconds = (performance.now() - start) / 1000;
    best = Math.max(best, iterationsDone(vcpu, result) / seconds);
  }
  return { iterationsPerSecond: best, real: best >= REAL_ITERATIONS_PER_SECOND };
}

function iterationsDone(vcpu: Vcpu, result: number): number {
  // Cut off by the limit inside the loop.
  if (result < 0) return ITERATIONS - Number(vcpu.getRegs().rcx & 0xffff_ffffn);
  const reason = vcpu.run.exitReason;
  if (reason === ExitReason.Halt) return ITERATIONS;
  throw new HostError(
    "emulated",
    `KVM cannot run a guest of three instructions: it stopped with ${exitReasonName(reason)}.`,
  );
}
