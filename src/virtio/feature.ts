/** Feature bits that are not of one device (virtio 1.2 §6), as masks. */
export const Feature = {
  /** VIRTIO_F_INDIRECT_DESC: a descriptor may name a table of descriptors. */
  IndirectDesc: 1n << 28n,
  /** VIRTIO_F_EVENT_IDX: both sides say at which index they want to be notified. */
  EventIdx: 1n << 29n,
  Version1: 1n << 32n,
  AccessPlatform: 1n << 33n,
  RingPacked: 1n << 34n,
  InOrder: 1n << 35n,
  OrderPlatform: 1n << 36n,
  SrIov: 1n << 37n,
  NotificationData: 1n << 38n,
  NotifConfigData: 1n << 39n,
  RingReset: 1n << 40n,
} as const;

/**
 * The names of the bits in a set of features, for logs: `["Flush", "EventIdx", "bit 41"]`.
 *
 * @param device the bits of the device that it belongs to
 */
export function featureNames(
  features: bigint,
  device: Readonly<Record<string, bigint>> = {},
): string[] {
  const known = Object.entries({ ...device, ...Feature });
  const names: string[] = [];
  for (let bit = 0n; bit < 64n; bit++) {
    const mask = 1n << bit;
    if ((features & mask) === 0n) continue;
    names.push(known.find(([, value]) => value === mask)?.[0] ?? `bit ${bit}`);
  }
  return names;
}
