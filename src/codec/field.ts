import { readU64, writeU64 } from "./u64.ts";

/** One field of a layout: its size and alignment in bytes and how to read and write it, little endian. */
export interface Field<T> {
  readonly size: number;
  get(view: DataView, offset: number): T;
  set(view: DataView, offset: number, value: T): void;
}

/** An unsigned 8-bit field. */
export const u8: Field<number> = {
  size: 1,
  get: (view, offset) => view.getUint8(offset),
  set: (view, offset, value) => view.setUint8(offset, value),
};

/** An unsigned 16-bit field. */
export const u16: Field<number> = {
  size: 2,
  get: (view, offset) => view.getUint16(offset, true),
  set: (view, offset, value) => view.setUint16(offset, value, true),
};

/** An unsigned 32-bit field. */
export const u32: Field<number> = {
  size: 4,
  get: (view, offset) => view.getUint32(offset, true),
  set: (view, offset, value) => view.setUint32(offset, value, true),
};

/** An unsigned 64-bit field as a number, exact below 2^53 (guest addresses, sizes). */
export const u64: Field<number> = { size: 8, get: readU64, set: writeU64 };

/** An unsigned 64-bit field as a BigInt, for feature bits and the like; never on a hot path. */
export const u64big: Field<bigint> = {
  size: 8,
  get: (view, offset) => view.getBigUint64(offset, true),
  set: (view, offset, value) => view.setBigUint64(offset, value, true),
};

/** A run of `length` bytes; reading gives a view of the underlying memory, not a copy. A shorter value is zero-padded. */
export function bytes(length: number): Field<Uint8Array> {
  const at = (view: DataView, offset: number) =>
    new Uint8Array(view.buffer, view.byteOffset + offset, length);
  return {
    size: length,
    get: at,
    set: (view, offset, value) => {
      if (value.length > length) {
        throw new RangeError(`${value.length} bytes do not fit in ${length}`);
      }
      const target = at(view, offset);
      target.set(value);
      target.fill(0, value.length);
    },
  };
}

/** `count` fields of one kind in a row. Reading copies. */
export function array<T>(element: Field<T>, count: number): Field<T[]> {
  return {
    size: element.size * count,
    get: (view, offset) =>
      Array.from({ length: count }, (_, i) => element.get(view, offset + i * element.size)),
    set: (view, offset, values) => {
      if (values.length > count) {
        throw new RangeError(`${values.length} elements do not fit in ${count}`);
      }
      values.forEach((value, i) => element.set(view, offset + i * element.size, value));
    },
  };
}
