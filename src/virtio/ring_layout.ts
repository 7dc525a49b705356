/** Layout of a split virtqueue in guest memory (virtio 1.2 §2.7). */

/** The largest split virtqueue, in descriptors (§2.7). */
export const MAX_QUEUE_SIZE = 32768;

/** struct virtq_desc (§2.7.5): byte offsets. Flags and next are read together as one u32 at `flags`. */
export const Desc = { size: 16, address: 0, length: 8, flags: 12 } as const;

/** Flags of a descriptor (§2.7.5). */
export const DescFlag = {
  Next: 1,
  /** Device-writable. */
  Write: 2,
  Indirect: 4,
} as const;

/** struct virtq_avail (§2.7.6) in u16: flags, idx, then the ring, then used_event. */
export const Avail = { flags: 0, index: 1, ring: 2 } as const;

/** Flag of the available ring: the driver wants no interrupt. */
export const AVAIL_NO_INTERRUPT = 1;

/** struct virtq_used (§2.7.8): flags and idx in u16; from byte 4 on the ring of u32 pairs (id, len), then avail_event. */
export const Used = { flags: 0, index: 1, ringByte: 4 } as const;

/** Flag of the used ring: the device wants no kick. */
export const USED_NO_NOTIFY = 1;

/** Bytes of the three parts of a queue of so many descriptors (§2.7). */
export function ringBytes(size: number): { desc: number; avail: number; used: number } {
  return { desc: size * Desc.size, avail: 6 + 2 * size, used: 6 + 8 * size };
}

/** Where the parts of a queue are in the window; aligned to 16, 2 and 4 bytes. */
export interface RingPlacement {
  /** Descriptors; a power of two. */
  readonly size: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}
