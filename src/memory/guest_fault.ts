/** An address range that is not wholly inside one region of guest memory. */
export class GuestFault extends Error {
  override readonly name = "GuestFault";

  /**
   * @param guestAddress where the range starts
   * @param length in bytes
   */
  constructor(readonly guestAddress: number, readonly length: number) {
    super(`${length} bytes at guest address 0x${guestAddress.toString(16)} are not guest memory`);
  }
}
