/** Typed views over bytes: every wire format, register file and shared state is declared once as a layout. */

export { array, bytes, type Field, u16, u32, u64, u64big, u8 } from "./field.ts";
export { type Struct, struct, type StructFields, type View } from "./struct.ts";
export { readU64, writeU64 } from "./u64.ts";
