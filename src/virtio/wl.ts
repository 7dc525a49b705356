import { bytes, struct, u32, u64 } from "../codec/mod.ts";

/**
 * Virtio Wayland, which the virtio specification does not know. Source: `virtio_wl.h` of ChromeOS's kernel and crosvm's
 * device; what is ours is marked so, and explained in docs/virtio-wl.md.
 */

/** Feature bits, as masks. */
export const WlFeature = {
  /** Flags of a descriptor say what may be done with it, rather than what it is. */
  TransFlags: 1n << 1n,
  /** Page numbers count from the beginning of the shared memory region. */
  UseShmem: 1n << 3n,
  /** Ours: sizes have 64 bits. */
  Size64: 1n << 16n,
  /** Ours: eventfds. */
  Events: 1n << 17n,
  /** Ours: received bytes need credit, so that a descriptor that nobody reads stops no other. */
  Credit: 1n << 18n,
  /** Ours: the machine has a doorbell function. */
  Doorbells: 1n << 19n,
  /** Ours: memory that the guest was sent several times lies in one place. */
  ShowOnce: 1n << 20n,
} as const;

/** Types of commands, in both directions. */
export const WlCommand = {
  New: 0x100,
  Close: 0x101,
  Send: 0x102,
  Receive: 0x103,
  NewContext: 0x104,
  NewPipe: 0x105,
  HangUp: 0x106,
  NewNamedContext: 0x10a,
  /** Ours, with {@link WlFeature.Events}: a new eventfd. */
  NewEvent: 0x180,
  /** Ours: the driver wants to hear of an event from now on. */
  ArmEvent: 0x181,
  /** Ours, with {@link WlFeature.Credit}: the driver takes so many bytes more. */
  Credit: 0x182,
  /** Ours, with {@link WlFeature.Doorbells}: an event crosses by a slot of the doorbell function. */
  Doorbell: 0x183,
} as const;

/** Types of responses. */
export const WlResponse = {
  Ok: 0x1000,
  New: 0x1001,
  Error: 0x1100,
  OutOfMemory: 0x1101,
  InvalidId: 0x1102,
  InvalidType: 0x1103,
  InvalidFlags: 0x1104,
  InvalidCommand: 0x1105,
} as const;

/** Flags of a virtual descriptor. */
export const WlFlag = {
  Write: 1,
  /** Of memory: it can be mapped. */
  Read: 2,
  /** Without {@link WlFeature.TransFlags}: a socket. */
  Control: 4,
  /** Ours: an event. */
  Event: 0x100,
} as const;

/** struct virtio_wl_ctrl_hdr */
export const WlHeader = struct({ type: u32, flags: u32 });

/** struct virtio_wl_ctrl_vfd: Close, HangUp, ArmEvent. */
export const WlVfd = struct({ type: u32, flags: u32, id: u32 });

/** struct virtio_wl_ctrl_vfd_new without its union: New, NewContext, NewPipe, NewEvent; the response to them. */
export const WlNew = struct({
  type: u32,
  headerFlags: u32,
  id: u32,
  /** {@link WlFlag} */
  flags: u32,
  /** Where memory is, in pages of 4 KiB; 0 for what is none. */
  page: u64,
  size: u32,
  /** Ours: the upper half of the size. */
  sizeHigh: u32,
});

/** The same with the name of NewNamedContext. */
export const WlNewNamed = struct({
  type: u32,
  headerFlags: u32,
  id: u32,
  flags: u32,
  page: u64,
  size: u32,
  /** Ended by a zero where it is shorter. */
  name: bytes(32),
});

/** struct virtio_wl_ctrl_vfd_send and _recv; `count` ids and the data follow. */
export const WlTransfer = struct({ type: u32, flags: u32, id: u32, count: u32 });

/** Ours: Credit. */
export const WlCredit = struct({ type: u32, flags: u32, id: u32, bytes: u32 });

/** Ours: Doorbell. `flags` is one of {@link WlFlag.Read}, the event raises the slot's vector, and {@link WlFlag.Write}, the slot's page adds to it. */
export const WlDoorbell = struct({ type: u32, headerFlags: u32, id: u32, slot: u32, flags: u32 });

/** The most descriptors of a message (VIRTWL_SEND_MAX_ALLOCS). */
export const WL_MAX_DESCRIPTORS = 28;

/** Bytes of a buffer of the in queue. */
export const WL_IN_BUFFER = 4096;

/** Ids that the device chooses have this bit, those of the driver do not. */
export const WL_HOST_ID = 0x4000_0000;

/** Receive credit of a new descriptor in bytes. */
export const WL_FIRST_CREDIT = 262_144;
