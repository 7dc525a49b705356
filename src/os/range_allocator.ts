/** Hands out ranges of a number line, lowest first, and merges what comes back. */
export class RangeAllocator {
  /** Free ranges in order, never touching each other. */
  #free: { start: number; end: number }[];

  /** @param granule start and length of every range are multiples of this power of two */
  constructor(start: number, length: number, readonly granule: number) {
    this.#free = [{ start, end: start + length }];
  }

  /** @throws RangeError when no free range is long enough */
  allocate(length: number, align = this.granule): number {
    const size = this.#round(length);
    const step = Math.max(align, this.granule);
    if (!Number.isInteger(Math.log2(step))) throw new RangeError("Alignment is no power of two");
    for (const [i, hole] of this.#free.entries()) {
      const start = Math.ceil(hole.start / step) * step;
      if (start + size > hole.end) continue;
      const rest = [{ start: hole.start, end: start }, { start: start + size, end: hole.end }];
      this.#free.splice(i, 1, ...rest.filter((part) => part.end > part.start));
      return start;
    }
    throw new RangeError(`No free range of ${length} bytes`);
  }

  /** @throws RangeError when a part of it is free already */
  free(start: number, length: number): void {
    const end = start + this.#round(length);
    let i = this.#free.findIndex((hole) => hole.end >= start);
    if (i < 0) i = this.#free.length;
    let merged = { start, end };
    let count = 0;
    for (let hole = this.#free[i]; hole !== undefined && hole.start <= end; count++) {
      if (hole.start < end && hole.end > start) throw new RangeError("Range is free already");
      merged = { start: Math.min(merged.start, hole.start), end: Math.max(merged.end, hole.end) };
      hole = this.#free[i + count + 1];
    }
    this.#free.splice(i, count, merged);
  }

  #round(length: number): number {
    if (!(length > 0) || !Number.isSafeInteger(length)) throw new RangeError("Bad length");
    return Math.ceil(length / this.granule) * this.granule;
  }
}
