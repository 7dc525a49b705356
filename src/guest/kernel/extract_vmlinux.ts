import { decompressLz4Legacy, isLz4Legacy } from "./lz4_legacy.ts";

// Fields of the bzImage header (Documentation/arch/x86/boot.rst).
const Header = {
  setupSectors: 0x1f1,
  magic: 0x202,
  version: 0x206,
  payloadOffset: 0x248,
  payloadLength: 0x24c,
};
const HDRS_MAGIC = 0x53726448;
const ELF_MAGIC = 0x464c457f;

/** The first protocol version that tells where the payload is. */
const PAYLOAD_VERSION = 0x0208;

/** No kernel is larger; a broken size must not take all memory. */
const LIMIT = 1 << 29;

/**
 * The kernel proper (an ELF file with its PVH note) out of a bzImage, so that the guest need not decompress it.
 *
 * @returns undefined where the file is no bzImage, or is compressed with something else than LZ4
 * @throws {Lz4Error} when its payload is broken
 */
export function extractVmlinux(image: Uint8Array): Uint8Array | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 0x250 || view.getUint32(Header.magic, true) !== HDRS_MAGIC) return undefined;
  if (view.getUint16(Header.version, true) < PAYLOAD_VERSION) return undefined;
  const start = ((view.getUint8(Header.setupSectors) || 4) + 1) * 512 +
    view.getUint32(Header.payloadOffset, true);
  const length = view.getUint32(Header.payloadLength, true);
  if (length < 8 || start + length > image.length) return undefined;
  // The build appends the size of the decompressed kernel to its payload.
  const size = view.getUint32(start + length - 4, true);
  const payload = image.subarray(start, start + length - 4);
  if (!isLz4Legacy(payload) || size > LIMIT) return undefined;
  const kernel = decompressLz4Legacy(payload, size);
  const isElf = kernel.length > 64 && new DataView(kernel.buffer).getUint32(0, true) === ELF_MAGIC;
  return isElf ? kernel : undefined;
}
