import type { Field } from "./field.ts";

/** The fields of a layout in wire order. */
// deno-lint-ignore ban-types -- the empty layout is a layout
export type StructFields<V> = { readonly [K in keyof V]: Field<V[K]> } & {};

/** A live view of one structure: reading a property reads memory, assigning writes it. */
export type View<V> = V;

/** A packed little-endian structure, declared once by {@linkcode struct}. Layouts with padding name it as a field. */
export interface Struct<V extends object> extends Field<View<V>> {
  /** Size in bytes. */
  readonly size: number;
  /** Byte offset of each field, for hot paths that read a DataView directly. */
  readonly offset: { readonly [K in keyof V]: number };
  /** A live view of the structure at `offset` of `view`. */
  at(view: DataView, offset?: number): View<V>;
  /** The bytes of a value; fields left out are zero. */
  encode(value: Partial<V>): Uint8Array<ArrayBuffer>;
  /** A plain copy of the structure at the start of `data`. Throws RangeError when `data` is too short. */
  decode(data: Uint8Array): V;
}

/**
 * Declares a packed little-endian structure. The result is itself a field, so that structures nest.
 *
 * @example
 * ```ts
 * import { struct, u32, u64 } from "./mod.ts";
 * const Request = struct({ type: u32, reserved: u32, sector: u64 });
 * const request = Request.at(new DataView(new ArrayBuffer(16)));
 * request.sector = 8;
 * ```
 */
export function struct<V extends object>(fields: StructFields<V>): Struct<V> {
  const names = Object.keys(fields) as (keyof V)[];
  const offset = {} as { [K in keyof V]: number };
  let size = 0;
  for (const name of names) {
    offset[name] = size;
    size += fields[name].size;
  }

  class StructView {
    constructor(readonly view: DataView, readonly start: number) {}
  }
  for (const name of names) {
    const field = fields[name];
    const at = offset[name];
    Object.defineProperty(StructView.prototype, name, {
      enumerable: true,
      get(this: StructView) {
        return field.get(this.view, this.start + at);
      },
      set(this: StructView, value: V[typeof name]) {
        field.set(this.view, this.start + at, value);
      },
    });
  }

  const at = (view: DataView, start = 0) => new StructView(view, start) as unknown as V;
  const assign = (target: V, value: Partial<V>) => {
    for (const name of names) {
      const given = value[name];
      if (given !== undefined) target[name] = given as V[typeof name];
    }
  };
  return {
    size,
    offset,
    at,
    get: at,
    set: (view, start, value) => assign(at(view, start), value),
    encode(value) {
      const data = new Uint8Array(size);
      assign(at(new DataView(data.buffer)), value);
      return data;
    },
    decode(data) {
      if (data.length < size) {
        throw new RangeError(`a structure of ${size} bytes does not fit in ${data.length}`);
      }
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const value = {} as V;
      for (const name of names) value[name] = fields[name].get(view, offset[name]);
      return value;
    },
  };
}
