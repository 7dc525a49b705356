/** The doorbell function as a driver sees it: one vector and one page per slot. It is ours; docs/virtio-wl.md. */

/** Red Hat's vendor id, and the first of its device ids that are set aside for experiments. */
export const DOORBELL_IDENTITY = {
  vendor: 0x1af4,
  device: 0x10f0,
  /** Base system peripheral, other. */
  classCode: 0x08_8000,
  subsystemVendor: 0x1af4,
  subsystem: 0x10f0,
} as const;

/** The most slots: what the BAR of MSI-X has room for. */
export const MAX_DOORBELLS = 1024;

/** The BAR of MSI-X, and the parts of it. */
export const VectorBar = { index: 0, size: 0x8000, table: 0x0000, pba: 0x4000 } as const;

/** The BAR of pages. A write to the first byte of a page, as wide as it likes, rings. */
export const PageBar = { index: 2, pageSize: 0x1000 } as const;
