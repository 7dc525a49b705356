const HALF = 0x1_0000_0000;

/** Reads a little-endian u64 as a number, without BigInt. Exact up to 2^53; a hostile larger value loses low bits and stays larger than any address. */
export function readU64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * HALF + view.getUint32(offset, true);
}

/** Writes a non-negative integer below 2^64 (exact below 2^53) as a little-endian u64. */
export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % HALF, true);
  view.setUint32(offset + 4, value / HALF, true);
}
