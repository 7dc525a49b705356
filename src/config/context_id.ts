import { VSOCK_FIRST_GUEST_CID } from "../virtio/mod.ts";
import { fnv1a } from "./fnv.ts";

/** The context id of a VM whose file does not say: one that stays the same, and is likely to differ from other VMs'. */
export function contextIdOf(vm: string): number {
  return VSOCK_FIRST_GUEST_CID + fnv1a(vm) % (2 ** 31 - VSOCK_FIRST_GUEST_CID);
}
