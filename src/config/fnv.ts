const PRIME = 0x01000193;
const BASIS = 0x811c9dc5;

/** FNV-1a of a text's UTF-8: 32 bits, unsigned. */
export function fnv1a(text: string): number {
  let hash = BASIS;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, PRIME) >>> 0;
  return hash;
}
