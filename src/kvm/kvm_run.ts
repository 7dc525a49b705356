import type { Window } from "../os/mod.ts";
import { IoDirection } from "./exit_reason.ts";
import { RunFailEntry, RunHead, RunIo, RunMmio, RunReport } from "./structures.ts";

const UNION = RunHead.size;
const HALF = 0x1_0000_0000;

/**
 * The kvm_run page of a vCPU, through which KVM tells why KVM_RUN returned and takes the answer.
 * Every access reads or writes memory and allocates nothing. Which fields mean something depends on
 * {@linkcode exitReason}.
 */
export class KvmRun {
  readonly #view: DataView;
  readonly #union: number;
  constructor(
    window: Pick<Window, "view">,
    /** Offset of the page in the window. */
    readonly offset: number,
  ) {
    this.#view = window.view;
    this.#union = offset + UNION;
  }

  /** One of ExitReason. */
  get exitReason(): number {
    return this.#view.getUint32(this.offset + RunHead.offset.exitReason, true);
  }

  /** When set, KVM_RUN completes what the last exit left pending and returns -EINTR at once. */
  get immediateExit(): boolean {
    return this.#view.getUint8(this.offset + RunHead.offset.immediateExit) !== 0;
  }
  set immediateExit(on: boolean) {
    this.#view.setUint8(this.offset + RunHead.offset.immediateExit, on ? 1 : 0);
  }

  /** Io: whether the guest writes (OUT). */
  get ioIsWrite(): boolean {
    return this.#view.getUint8(this.#union + RunIo.offset.direction) === IoDirection.Out;
  }
  /** Io: bytes per access, 1, 2 or 4. */
  get ioSize(): number {
    return this.#view.getUint8(this.#union + RunIo.offset.size);
  }
  get ioPort(): number {
    return this.#view.getUint16(this.#union + RunIo.offset.port, true);
  }
  /** Io: number of accesses to the same port (more than one for string instructions). */
  get ioCount(): number {
    return this.#view.getUint32(this.#union + RunIo.offset.count, true);
  }
  /** Io: what the guest writes in access `index`. */
  ioValue(index = 0): number {
    const size = this.ioSize;
    const at = this.#ioData + index * size;
    if (size === 1) return this.#view.getUint8(at);
    if (size === 2) return this.#view.getUint16(at, true);
    return this.#view.getUint32(at, true);
  }
  /** Io: answers access `index` of a guest that reads. */
  setIoValue(value: number, index = 0): void {
    const size = this.ioSize;
    const at = this.#ioData + index * size;
    if (size === 1) this.#view.setUint8(at, value);
    else if (size === 2) this.#view.setUint16(at, value, true);
    else this.#view.setUint32(at, value, true);
  }
  get #ioData(): number {
    // The upper half is zero: the data lies in the pages mapped with kvm_run.
    return this.offset + this.#view.getUint32(this.#union + RunIo.offset.dataOffset, true);
  }

  /** Mmio: guest-physical address. */
  get mmioAddress(): number {
    const at = this.#union + RunMmio.offset.address;
    return this.#view.getUint32(at + 4, true) * HALF + this.#view.getUint32(at, true);
  }
  /** Mmio: bytes, 1 to 8; not always a power of two at page borders. */
  get mmioSize(): number {
    return this.#view.getUint32(this.#union + RunMmio.offset.length, true);
  }
  /** Mmio: window offset of the data, up to 8 bytes: what the guest writes, or where the answer goes. */
  get mmioData(): number {
    return this.#union + RunMmio.offset.data;
  }
  get mmioIsWrite(): boolean {
    return this.#view.getUint8(this.#union + RunMmio.offset.isWrite) !== 0;
  }
  /** Mmio: one byte of the data, for accesses of odd sizes. */
  mmioByte(index: number): number {
    return this.#view.getUint8(this.#union + RunMmio.offset.data + index);
  }
  setMmioByte(index: number, value: number): void {
    this.#view.setUint8(this.#union + RunMmio.offset.data + index, value);
  }
  /** Mmio: the data from byte `at` on, as a number of `size` bytes (1, 2 or 4). */
  mmioValue(size: number, at = 0): number {
    const data = this.#union + RunMmio.offset.data + at;
    if (size === 1) return this.#view.getUint8(data);
    if (size === 2) return this.#view.getUint16(data, true);
    return this.#view.getUint32(data, true);
  }
  /** Mmio: answers a guest that reads, from byte `at` on. */
  setMmioValue(value: number, size: number, at = 0): void {
    const data = this.#union + RunMmio.offset.data + at;
    if (size === 1) this.#view.setUint8(data, value);
    else if (size === 2) this.#view.setUint16(data, value, true);
    else this.#view.setUint32(data, value, true);
  }

  /** InternalError: one of InternalError. */
  get internalError(): number {
    return this.#view.getUint32(this.#union + RunReport.offset.kind, true);
  }
  /** InternalError, SystemEvent: KVM's further words, for a message. Allocates. */
  reportData(): bigint[] {
    const count = Math.min(this.#view.getUint32(this.#union + RunReport.offset.count, true), 16);
    const data = this.#union + RunReport.offset.data;
    return Array.from({ length: count }, (_, i) => this.#view.getBigUint64(data + i * 8, true));
  }
  /** SystemEvent: one of SystemEvent. */
  get systemEvent(): number {
    return this.#view.getUint32(this.#union + RunReport.offset.kind, true);
  }
  /** FailEntry: the processor's own reason code. */
  get failEntryReason(): bigint {
    return this.#view.getBigUint64(this.#union + RunFailEntry.offset.reason, true);
  }
  /** Unknown: the processor's own exit code. */
  get hardwareExitReason(): bigint {
    return this.#view.getBigUint64(this.#union, true);
  }
}
