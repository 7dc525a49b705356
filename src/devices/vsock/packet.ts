import { readU64 } from "../../codec/mod.ts";
import { type DescriptorChain, VsockHeader } from "../../virtio/mod.ts";
import { readHead } from "../chain_bytes.ts";

const { offset, size } = VsockHeader;

/** A packet of the driver: its header, each field read once. Reused from packet to packet. */
export class Packet {
  sourceCid = 0;
  destinationCid = 0;
  sourcePort = 0;
  destinationPort = 0;
  length = 0;
  type = 0;
  operation = 0;
  flags = 0;
  bufferSize = 0;
  forwarded = 0;
  readonly #scattered = new DataView(new ArrayBuffer(size));

  /** Reads the header, however the driver has cut it. False when there is none. */
  read(memory: DataView, chain: DescriptorChain): boolean {
    if (chain.readableBytes < size) return false;
    if (chain.lengths[0] >= size) {
      this.#readAt(memory, chain.offsets[0]);
    } else {
      readHead(memory, chain, this.#scattered, size);
      this.#readAt(this.#scattered, 0);
    }
    return true;
  }

  #readAt(view: DataView, at: number): void {
    this.sourceCid = readU64(view, at + offset.sourceCid);
    this.destinationCid = readU64(view, at + offset.destinationCid);
    this.sourcePort = view.getUint32(at + offset.sourcePort, true);
    this.destinationPort = view.getUint32(at + offset.destinationPort, true);
    this.length = view.getUint32(at + offset.length, true);
    this.type = view.getUint16(at + offset.type, true);
    this.operation = view.getUint16(at + offset.operation, true);
    this.flags = view.getUint32(at + offset.flags, true);
    this.bufferSize = view.getUint32(at + offset.bufferSize, true);
    this.forwarded = view.getUint32(at + offset.forwarded, true);
  }
}
