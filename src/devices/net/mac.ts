const PATTERN = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

/** The bytes of `02:00:00:12:34:56`; undefined when it is no address that a device can have. */
export function parseMac(text: string): Uint8Array | undefined {
  const lower = text.toLowerCase();
  if (!PATTERN.test(lower)) return undefined;
  const bytes = Uint8Array.from(lower.split(":"), (part) => Number.parseInt(part, 16));
  const isMulticast = (bytes[0] & 1) !== 0;
  return isMulticast || bytes.every((byte) => byte === 0) ? undefined : bytes;
}
