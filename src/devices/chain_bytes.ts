/** Bytes of a chain by their position, however the driver has cut it into pieces. None of these allocates. */

import type { IoVector } from "../os/mod.ts";
import type { DescriptorChain } from "../virtio/mod.ts";

/** Copies the first bytes of what the driver has written out of a chain that has so many. */
export function readHead(
  memory: DataView,
  chain: DescriptorChain,
  into: DataView,
  count: number,
): void {
  const { offsets, lengths } = chain;
  for (let piece = 0, done = 0; done < count; piece++) {
    const from = offsets[piece];
    const length = Math.min(lengths[piece], count - done);
    let i = 0;
    for (; i + 4 <= length; i += 4) into.setUint32(done + i, memory.getUint32(from + i));
    for (; i < length; i++) into.setUint8(done + i, memory.getUint8(from + i));
    done += length;
  }
}

/** Copies bytes to the beginning of what the device may write in a chain that has room for so many. */
export function writeHead(
  memory: DataView,
  chain: DescriptorChain,
  from: DataView,
  count: number,
): void {
  const { offsets, lengths } = chain;
  for (let piece = chain.readableCount, done = 0; done < count; piece++) {
    const to = offsets[piece];
    const length = Math.min(lengths[piece], count - done);
    let i = 0;
    for (; i + 4 <= length; i += 4) memory.setUint32(to + i, from.getUint32(done + i));
    for (; i < length; i++) memory.setUint8(to + i, from.getUint8(done + i));
    done += length;
  }
}

/** Puts what the driver has written, from `begin` up to `end`, into an empty vector, as far as that has room. */
export function gatherReadable(
  vector: IoVector,
  chain: DescriptorChain,
  begin: number,
  end: number,
): void {
  vector.clear();
  gather(vector, chain, 0, chain.readableCount, begin, end);
}

/** The same with what the device may write. */
export function gatherWritable(
  vector: IoVector,
  chain: DescriptorChain,
  begin: number,
  end: number,
): void {
  vector.clear();
  appendWritable(vector, chain, begin, end);
}

/** The same behind what is in the vector already. */
export function appendWritable(
  vector: IoVector,
  chain: DescriptorChain,
  begin: number,
  end: number,
): void {
  gather(vector, chain, chain.readableCount, chain.count, begin, end);
}

function gather(
  vector: IoVector,
  { offsets, lengths }: DescriptorChain,
  first: number,
  last: number,
  begin: number,
  end: number,
): void {
  for (let i = first, at = 0; i < last && at < end; i++) {
    const length = lengths[i];
    const skip = Math.max(begin - at, 0);
    if (skip < length) {
      const part = Math.min(length - skip, end - at - skip);
      if (!vector.push(offsets[i] + skip, part)) return;
    }
    at += length;
  }
}
