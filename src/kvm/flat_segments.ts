import type { Segment } from "./registers.ts";

/** Type field of code and data descriptors: executable, readable, accessed; writable, accessed. */
const CODE = 0xb;
const DATA = 0x3;
/** Busy 32-bit or 64-bit TSS. */
const BUSY_TSS = 0xb;

function flat(selector: number, type: number): Segment {
  return {
    base: 0n,
    limit: 0xffff_ffff,
    selector,
    type,
    present: 1,
    dpl: 0,
    db: 1,
    s: 1,
    l: 0,
    g: 1,
    avl: 0,
    unusable: 0,
    padding: 0,
  };
}

/** A flat 32-bit code segment. */
export function code32(selector: number): Segment {
  return flat(selector, CODE);
}

/** A 64-bit code segment. */
export function code64(selector: number): Segment {
  return { ...flat(selector, CODE), db: 0, l: 1 };
}

/** A flat data segment. */
export function flatData(selector: number): Segment {
  return flat(selector, DATA);
}

/** A task register that processors accept on entry; nothing uses it. */
export function taskSegment(): Segment {
  return { ...flat(0, BUSY_TSS), limit: 0x67, s: 0, db: 0, g: 0 };
}
