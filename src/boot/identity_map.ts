import type { GuestMemory } from "../memory/mod.ts";

const PAGE = 4096;
const ENTRIES = 512;
const LARGE_PAGE = 2 ** 21;
const GIBIBYTES = 4;
/** Present, writable. */
const TABLE = 0x3;
/** Present, writable, page size. */
const LARGE = 0x83;

/** Page tables that map the first 4 GiB to themselves in 2 MiB pages; gives CR3. */
export function writeIdentityMap(memory: GuestMemory, at: number): number {
  const tables = new Uint8Array(PAGE * (2 + GIBIBYTES));
  const view = new DataView(tables.buffer);
  const pointers = at + PAGE;
  const directories = at + 2 * PAGE;
  view.setUint32(0, pointers | TABLE, true);
  for (let i = 0; i < GIBIBYTES; i++) {
    view.setUint32(PAGE + i * 8, (directories + i * PAGE) | TABLE, true);
  }
  for (let i = 0; i < GIBIBYTES * ENTRIES; i++) {
    view.setUint32(2 * PAGE + i * 8, i * LARGE_PAGE + LARGE, true);
  }
  memory.write(at, tables);
  return at;
}
