import { Errno, type Window } from "../../os/mod.ts";
import {
  BlkDiscardSegment,
  BlkRequestType,
  BlkStatus,
  SECTOR_SIZE,
  SERIAL_SIZE,
  WRITE_ZEROES_UNMAP,
} from "../../virtio/mod.ts";
import type { BlkRequest } from "./blk_request.ts";
import type { Disk } from "./disk.ts";

/** Bounds of discard and write-zeroes that the config space tells; a request beyond them fails. */
export const RangeLimits = {
  segments: 16,
  /** 2 GiB: giving a range back is quick. */
  discardSectors: 2 ** 22,
  /** 64 MiB: zeroes may have to be written. */
  zeroSectors: 2 ** 17,
} as const;

const { Ok, IoError, Unsupported } = BlkStatus;

/** What each kind of request does to a disk, waiting for its end. */
export class BlkCommands {
  /** Every write is on the disk before it is complete. */
  writeThrough = false;
  readonly #view: DataView;
  readonly #window: Window;
  readonly #serial: Uint8Array;

  /** @param serial at most {@link SERIAL_SIZE} bytes */
  constructor(window: Window, readonly disk: Disk, serial: Uint8Array) {
    this.#window = window;
    this.#view = window.view;
    this.#serial = new Uint8Array(SERIAL_SIZE);
    this.#serial.set(serial);
  }

  /** Does a request. Returns the status for the driver. */
  execute(request: BlkRequest): number {
    // A program of the guest may aim direct I/O at memory of another device, which is not for us to see.
    if (request.chain.unreachable) return IoError;
    switch (request.type) {
      case BlkRequestType.In:
        return this.#transfer(request, false);
      case BlkRequestType.Out:
        return this.#transfer(request, true);
      case BlkRequestType.Flush:
        return statusOf(this.disk.flush());
      case BlkRequestType.GetId:
        return this.#getId(request);
      case BlkRequestType.Discard:
      case BlkRequestType.WriteZeroes:
        return this.#ranges(request);
      default:
        return Unsupported;
    }
  }

  /** Where on the disk the data of a read or write begins, in bytes; -1 when it is not all on it. */
  position(request: BlkRequest): number {
    const write = request.type === BlkRequestType.Out;
    const bytes = write ? request.readBytes : request.writeBytes;
    return write && this.disk.readonly ? -1 : this.#position(request.sector, bytes);
  }

  #position(sector: number, bytes: number): number {
    const position = sector * SECTOR_SIZE;
    return bytes % SECTOR_SIZE === 0 && position + bytes <= this.disk.size ? position : -1;
  }

  #transfer(request: BlkRequest, write: boolean): number {
    const position = this.position(request);
    if (position < 0) return IoError;
    const { chain, readFirst, writeEnd } = request;
    const result = write
      ? this.disk.transfer(true, chain, readFirst, chain.readableCount, position)
      : this.disk.transfer(false, chain, chain.readableCount, writeEnd, position);
    if (result === 0 && write && this.writeThrough) return statusOf(this.disk.flush());
    return statusOf(result);
  }

  #getId({ chain, writeEnd }: BlkRequest): number {
    let rest = this.#serial;
    for (let i = chain.readableCount; i < writeEnd && rest.length > 0; i++) {
      const length = Math.min(rest.length, chain.lengths[i]);
      this.#window.bytes(chain.offsets[i], length).set(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
    return Ok;
  }

  #ranges(request: BlkRequest): number {
    const discard = request.type === BlkRequestType.Discard;
    if (this.disk.readonly) return IoError;
    if (discard && !this.disk.canDiscard) return Unsupported;
    const size = BlkDiscardSegment.size;
    const count = request.readBytes / size;
    if (!Number.isInteger(count) || count < 1 || count > RangeLimits.segments) return IoError;
    const copy = this.#readData(request);
    const segments = Array.from({ length: count }, (_, i) => BlkDiscardSegment.at(copy, i * size));
    // All are looked at before the first is done.
    for (const { sector, sectorCount, flags } of segments) {
      if ((flags & ~WRITE_ZEROES_UNMAP) !== 0 || (discard && flags !== 0)) return Unsupported;
      const most = discard ? RangeLimits.discardSectors : RangeLimits.zeroSectors;
      const inside = this.#position(sector, sectorCount * SECTOR_SIZE) >= 0;
      if (sectorCount > most || !inside) return IoError;
    }
    for (const { sector, sectorCount, flags } of segments) {
      if (sectorCount === 0) continue;
      const position = sector * SECTOR_SIZE;
      const length = sectorCount * SECTOR_SIZE;
      if (!discard) request.zeroedBytes += length;
      const result = discard
        ? this.disk.discard(position, length)
        : this.disk.zero(position, length, (flags & WRITE_ZEROES_UNMAP) !== 0);
      if (result === -Errno.EOPNOTSUPP) return Unsupported;
      if (result < 0) return IoError;
    }
    return !discard && this.writeThrough ? statusOf(this.disk.flush()) : Ok;
  }

  /** A copy of the data that the driver gives. */
  #readData({ chain, readFirst, readBytes }: BlkRequest): DataView {
    const copy = new Uint8Array(readBytes);
    let at = 0;
    for (let i = readFirst; i < chain.readableCount; i++) {
      copy.set(this.#window.bytes(chain.offsets[i], chain.lengths[i]), at);
      at += chain.lengths[i];
    }
    return new DataView(copy.buffer);
  }

  /** Ends a request with a status. */
  complete(request: BlkRequest, status: number): void {
    request.complete(this.#view, status);
  }

  /** Takes a request apart; false when it is none. */
  parse(request: BlkRequest): boolean {
    return request.parse(this.#view);
  }
}

function statusOf(result: number): number {
  return result === 0 ? Ok : IoError;
}
