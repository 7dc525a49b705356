import type { GuestMemory } from "../memory/mod.ts";

/** End of the RAM that begins at address 0, which is where kernels and initrds are loaded; 0 when there is none. */
export function lowRam(memory: Pick<GuestMemory, "regions">): number {
  return memory.regions.find((region) => region.guestAddress === 0)?.size ?? 0;
}

/** For messages: whole mebibytes, rounded up. */
export function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
