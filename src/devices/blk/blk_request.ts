import { BlkRequestHeader, DescriptorChain, type Virtqueue } from "../../virtio/mod.ts";

const HEADER = BlkRequestHeader.size;
const { type: TYPE, sector: SECTOR } = BlkRequestHeader.offset;
const TWO_32 = 0x1_0000_0000;

/**
 * A request of a driver (virtio 1.2 §5.2.6): a readable header of 16 bytes, data in one direction,
 * a writable status byte at the very end, cut into pieces as the driver likes. Reused from request
 * to request.
 */
export class BlkRequest {
  readonly chain: DescriptorChain;
  queue: Virtqueue | undefined;
  type = 0;
  sector = 0;
  /** The pieces of {@link chain} that hold readable data: from `readFirst` up to its readableCount. */
  readFirst = 0;
  /** The writable ones: from readableCount up to here, not included. */
  writeEnd = 0;
  /** Bytes of data that the driver gives and takes. */
  readBytes = 0;
  writeBytes = 0;
  /** Bytes that were zeroed for it, once it is done. */
  zeroedBytes = 0;
  /** What the used ring says: every writable byte, since the status is the last. */
  written = 0;
  #status = 0;
  readonly #header = new DataView(new ArrayBuffer(HEADER));

  /** @param segments the most pieces of data */
  constructor(segments: number) {
    this.chain = new DescriptorChain(segments + 2, true);
  }

  /** Bytes that a limit counts: what goes between driver and disk, and what the disk was told to zero. */
  get bytes(): number {
    return this.readBytes + this.writeBytes + this.zeroedBytes;
  }

  /** Reads the header, each field once, and cuts header and status off the chain. False when one has no place. */
  parse(view: DataView): boolean {
    const { chain } = this;
    if (chain.readableBytes < HEADER || chain.writableBytes < 1) return false;
    const { offsets, lengths, count } = chain;
    if (lengths[0] >= HEADER) {
      const at = offsets[0];
      this.type = view.getUint32(at + TYPE, true);
      this.sector = view.getUint32(at + SECTOR, true) +
        view.getUint32(at + SECTOR + 4, true) * TWO_32;
    } else {
      this.#gatherHeader(view);
    }
    this.readFirst = skip(chain, 0, HEADER);
    this.readBytes = chain.readableBytes - HEADER;
    this.zeroedBytes = 0;
    this.written = chain.writableBytes;
    this.writeBytes = chain.writableBytes - 1;
    const last = count - 1;
    const rest = lengths[last] - 1;
    this.#status = offsets[last] + rest;
    lengths[last] = rest;
    this.writeEnd = rest === 0 ? last : count;
    return true;
  }

  /** Writes the status and gives the request back. */
  complete(view: DataView, status: number): void {
    view.setUint8(this.#status, status);
    this.queue?.complete(this.chain, this.written);
  }

  #gatherHeader(view: DataView): void {
    const { offsets, lengths } = this.chain;
    const header = this.#header;
    let piece = 0;
    let at = 0;
    for (let i = 0; i < HEADER; i++) {
      while (at === lengths[piece]) {
        piece++;
        at = 0;
      }
      header.setUint8(i, view.getUint8(offsets[piece] + at++));
    }
    this.type = header.getUint32(TYPE, true);
    this.sector = header.getUint32(SECTOR, true) + header.getUint32(SECTOR + 4, true) * TWO_32;
  }
}

/** Cuts so many bytes off the pieces from `first` on, which have at least as many. Returns the first that is left. */
export function skip(chain: DescriptorChain, first: number, bytes: number): number {
  const { offsets, lengths } = chain;
  while (bytes > 0) {
    const length = lengths[first];
    if (length > bytes) {
      offsets[first] += bytes;
      lengths[first] = length - bytes;
      return first;
    }
    bytes -= length;
    first++;
  }
  return first;
}
