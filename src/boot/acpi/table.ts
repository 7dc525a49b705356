import { bytes, struct, u32, u8 } from "../../codec/mod.ts";

/** System Description Table Header, ACPI 6.4 §5.2.6. */
export const TableHeader = struct({
  signature: bytes(4),
  length: u32,
  revision: u8,
  checksum: u8,
  oemId: bytes(6),
  oemTableId: bytes(8),
  oemRevision: u32,
  creatorId: bytes(4),
  creatorRevision: u32,
});

const encoder = new TextEncoder();
export const OEM_ID = encoder.encode("SPCTRM");
const OEM_TABLE_ID = encoder.encode("SPECTRUM");
const CREATOR_ID = encoder.encode("SPTM");

/** The byte that makes all bytes of `data` sum to zero modulo 256. */
export function checksum(data: Uint8Array): number {
  return -data.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** A whole table: header and body, checksummed. */
export function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const data = new Uint8Array(TableHeader.size + body.length);
  data.set(TableHeader.encode({
    signature: encoder.encode(signature),
    length: data.length,
    revision,
    oemId: OEM_ID,
    oemTableId: OEM_TABLE_ID,
    oemRevision: 1,
    creatorId: CREATOR_ID,
    creatorRevision: 1,
  }));
  data.set(body, TableHeader.size);
  data[TableHeader.offset.checksum] = checksum(data);
  return data;
}
