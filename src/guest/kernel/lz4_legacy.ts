/** Magic of the legacy frame format, which `lz4 -l` writes and Linux uses for its images. */
const MAGIC = 0x184c2102;

/** Data that claims to be LZ4 is not. */
export class Lz4Error extends Error {
  constructor(readonly reason: string, readonly offset: number) {
    super(`Not valid LZ4 data: ${reason} at byte ${offset}`);
    this.name = "Lz4Error";
  }
}

/** Whether bytes begin like a legacy LZ4 frame. */
export function isLz4Legacy(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && word(bytes, 0) === MAGIC;
}

/**
 * Decompresses a legacy LZ4 frame: the magic, then blocks, each behind its length
 * (lz4_Frame_format.md "Legacy frame", lz4_Block_format.md).
 *
 * @param limit the most bytes that it may become
 * @throws {Lz4Error}
 */
export function decompressLz4Legacy(bytes: Uint8Array, limit: number): Uint8Array {
  if (!isLz4Legacy(bytes)) throw new Lz4Error("no legacy magic", 0);
  const output = new Uint8Array(limit);
  let length = 0;
  for (let at = 4; at + 4 <= bytes.length;) {
    const size = word(bytes, at);
    at += 4;
    if (size === MAGIC) continue;
    if (size > bytes.length - at) throw new Lz4Error("block longer than the data", at);
    length = decompressBlock(bytes, at, at + size, output, length);
    at += size;
  }
  return output.subarray(0, length);
}

/** One block: sequences of literals and matches. Returns how long the output is then. */
function decompressBlock(
  input: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  length: number,
): number {
  const blockStart = length;
  let at = start;
  const extended = (first: number) => {
    if (first < 15) return first;
    let total = first, byte;
    do {
      if (at >= end) throw new Lz4Error("length cut off", at);
      byte = input[at++];
      total += byte;
    } while (byte === 255);
    return total;
  };
  while (at < end) {
    const token = input[at++];
    const literals = extended(token >> 4);
    if (literals > end - at || literals > output.length - length) {
      throw new Lz4Error("literals too long", at);
    }
    output.set(input.subarray(at, at + literals), length);
    at += literals;
    length += literals;
    // The last sequence has literals only.
    if (at >= end) break;
    const distance = input[at] | (input[at + 1] << 8);
    at += 2;
    if (at > end || distance === 0 || distance > length - blockStart) {
      throw new Lz4Error("match out of reach", at);
    }
    const count = extended(token & 15) + 4;
    if (count > output.length - length) throw new Lz4Error("match too long", at);
    if (distance >= count) output.copyWithin(length, length - distance, length - distance + count);
    else for (let i = 0; i < count; i++) output[length + i] = output[length + i - distance];
    length += count;
  }
  return length;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}
