import {
  type Borrowed,
  closeOwned,
  Fd,
  ioctlRaw,
  type Owned,
  type SharedFd,
  type Window,
} from "../os/mod.ts";
import { KvmRun } from "./kvm_run.ts";
import { decodeList, encodeList } from "./lists.ts";
import { perform } from "./perform.ts";
import { Fpu, Regs, Sregs } from "./registers.ts";
import { VcpuRequest } from "./requests.ts";
import { CpuidEntry, MpStateStruct, type Msr, MsrEntry } from "./structures.ts";

/** A vCPU as another thread of this process can take it (structured-clonable). */
export interface SharedVcpu {
  readonly id: number;
  readonly fd: SharedFd;
  /** Window offset of kvm_run. */
  readonly run: number;
}

const LAPIC_SIZE = 1024;
const MAX_CPUID_ENTRIES = 256;

/**
 * A virtual CPU. One thread at a time may use it; requests other than {@linkcode enter} wait while
 * another thread is inside.
 *
 * @throws OsError from every method that asks KVM, except `enter`
 */
export class Vcpu implements Disposable {
  readonly run: KvmRun;
  readonly #release: () => void;

  private constructor(
    readonly id: number,
    readonly fd: Owned<Fd> | Borrowed<Fd>,
    window: Window,
    run: number,
    release: () => void,
  ) {
    this.run = new KvmRun(window, run);
    this.#release = release;
  }

  /** Takes over the descriptor of a new vCPU and maps its kvm_run. Called by Vm.createVcpu. */
  static own(id: number, fd: Owned<Fd>, window: Window, mmapSize: number): Vcpu {
    const run = window.allocate(mmapSize);
    window.mapFd(run, mmapSize, fd, 0);
    return new Vcpu(id, fd, window, run, () => window.free(run, mmapSize));
  }

  /** A handle in this thread on a vCPU that another thread owns; disposing it does nothing. */
  static borrow(token: SharedVcpu, window: Window): Vcpu {
    return new Vcpu(token.id, Fd.borrow(token.fd), window, token.run, () => {});
  }

  /** What another thread needs for {@linkcode borrow}. */
  share(): SharedVcpu {
    return { id: this.id, fd: this.fd.share(), run: this.run.offset };
  }

  /** KVM_RUN: 0 when `run` tells why the guest stopped, or a negative error number (-EINTR when kicked). */
  enter(): number {
    return ioctlRaw(this.fd, VcpuRequest.Run, 0);
  }

  getRegs(): Regs {
    return Regs.decode(this.#receive(VcpuRequest.GetRegs, Regs.size, "registers"));
  }
  /** Registers left out become zero. */
  setRegs(regs: Partial<Regs>): void {
    this.#pass(VcpuRequest.SetRegs, Regs.encode(regs), "registers");
  }

  getSregs(): Sregs {
    return Sregs.decode(this.#receive(VcpuRequest.GetSregs, Sregs.size, "system registers"));
  }
  setSregs(sregs: Sregs): void {
    this.#pass(VcpuRequest.SetSregs, Sregs.encode(sregs), "system registers");
  }

  getFpu(): Fpu {
    return Fpu.decode(this.#receive(VcpuRequest.GetFpu, Fpu.size, "FPU"));
  }
  setFpu(fpu: Partial<Fpu>): void {
    this.#pass(VcpuRequest.SetFpu, Fpu.encode(fpu), "FPU");
  }

  /** The register page of the local APIC (1024 bytes). */
  getLapic(): Uint8Array {
    return this.#receive(VcpuRequest.GetLapic, LAPIC_SIZE, "local APIC");
  }
  setLapic(page: Uint8Array): void {
    this.#pass(VcpuRequest.SetLapic, page, "local APIC");
  }

  /** One of MpState. */
  getMpState(): number {
    const data = this.#receive(VcpuRequest.GetMpState, MpStateStruct.size, "run state");
    return MpStateStruct.decode(data).state;
  }
  setMpState(state: number): void {
    this.#pass(VcpuRequest.SetMpState, MpStateStruct.encode({ state }), "run state");
  }

  /** Before the first `enter`; KVM refuses to change it later. */
  setCpuid(entries: readonly CpuidEntry[]): void {
    this.#pass(VcpuRequest.SetCpuid, encodeList(CpuidEntry, entries), "CPUID");
  }
  getCpuid(): CpuidEntry[] {
    const data = encodeList(CpuidEntry, new Array(MAX_CPUID_ENTRIES).fill({}));
    perform(this.fd, VcpuRequest.GetCpuid, data, "read the CPUID of", this.#subject);
    return decodeList(CpuidEntry, data);
  }

  /** Gives the values of MSRs; throws OsError when KVM refuses one. */
  getMsrs(indices: readonly number[]): Msr[] {
    const data = encodeList(MsrEntry, indices.map((index) => ({ index })));
    const count = perform(this.fd, VcpuRequest.GetMsrs, data, "read MSRs of", this.#subject);
    return decodeList(MsrEntry, data).slice(0, count).map(({ index, data }) => ({ index, data }));
  }
  /** Sets MSRs in order; gives how many KVM took before it refused one. */
  setMsrs(msrs: readonly Msr[]): number {
    const data = encodeList(MsrEntry, msrs);
    return perform(this.fd, VcpuRequest.SetMsrs, data, "set MSRs of", this.#subject);
  }

  /** Raises a non-maskable interrupt. */
  nmi(): void {
    perform(this.fd, VcpuRequest.Nmi, 0, "interrupt", this.#subject);
  }

  get #subject(): string {
    return `vCPU ${this.id}`;
  }
  #receive(request: number, size: number, what: string): Uint8Array {
    const data = new Uint8Array(size);
    perform(this.fd, request, data, `read the ${what} of`, this.#subject);
    return data;
  }
  #pass(request: number, data: Uint8Array, what: string): void {
    perform(this.fd, request, data, `set the ${what} of`, this.#subject);
  }

  [Symbol.dispose](): void {
    if (this.fd.closed) return;
    closeOwned(this.fd);
    this.#release();
  }
}
