/**
 * Virtio device ids (virtio 1.2 §5).
 *
 * @example
 * ```ts
 * console.log(DeviceId.Block, DeviceId.Rng);
 * ```
 */
export const DeviceId = {
  Net: 1,
  Block: 2,
  Console: 3,
  /** Entropy device. */
  Rng: 4,
  /** Traditional memory balloon. */
  Balloon: 5,
  Gpu: 16,
  Input: 18,
  Vsock: 19,
  Fs: 26,
  /** Virtio Wayland; not in the specification, as in crosvm. */
  Wl: 63,
} as const;
