import { VSOCK_FIRST_GUEST_CID } from "../virtio/mod.ts";

/** The context id of a VM whose file does not say: one that stays the same, and is likely to differ from other VMs'. */
export function contextIdOf(vm: string): number {
  // FNV-1a
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(vm)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return VSOCK_FIRST_GUEST_CID + hash % (2 ** 31 - VSOCK_FIRST_GUEST_CID);
}
