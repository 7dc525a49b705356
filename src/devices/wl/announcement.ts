import { PAGE_SIZE } from "../../os/mod.ts";
import { WlFeature, WlNew } from "../../virtio/mod.ts";
import type { Vfd } from "./vfd.ts";

const TWO_32 = 2 ** 32;
/** As long as the structure with every union of the established interface. */
const LENGTH = 64;

/**
 * The structure that tells the guest what a VFD is.
 *
 * @param type of the message
 * @param features that the driver has accepted
 */
export function announcement(vfd: Vfd, type: number, features: bigint): Uint8Array {
  const { id, size, offset } = vfd;
  const message = new Uint8Array(LENGTH);
  message.set(WlNew.encode({
    type,
    id,
    flags: vfd.flags((features & WlFeature.TransFlags) !== 0n),
    page: offset / PAGE_SIZE,
    size: size % TWO_32,
    sizeHigh: (features & WlFeature.Size64) === 0n ? 0 : Math.floor(size / TWO_32),
  }));
  return message;
}
