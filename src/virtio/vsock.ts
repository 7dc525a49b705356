/** Socket device: features, config space, packets and events (virtio 1.2 §5.10). */

import { struct, u16, u32, u64 } from "../codec/mod.ts";

/** Feature bits (§5.10.3), as masks. */
export const VsockFeature = {
  Stream: 1n << 0n,
  SeqPacket: 1n << 1n,
} as const;

/** struct virtio_vsock_config (§5.10.4). */
export const VsockConfig = struct({ guestCid: u64 });

/** The host's context id, and the first that a guest may have (§5.10.4). */
export const VSOCK_HOST_CID = 2;
export const VSOCK_FIRST_GUEST_CID = 3;

/** struct virtio_vsock_hdr (§5.10.6). */
export const VsockHeader = struct({
  sourceCid: u64,
  destinationCid: u64,
  sourcePort: u32,
  destinationPort: u32,
  /** Bytes of data behind the header. */
  length: u32,
  type: u16,
  operation: u16,
  flags: u32,
  /** Bytes that the sender of the packet has room for, and has taken out of there since the beginning. */
  bufferSize: u32,
  forwarded: u32,
});

/** Types of sockets (§5.10.6). */
export const VsockType = { Stream: 1, SeqPacket: 2 } as const;

/** enum virtio_vsock_op */
export const VsockOperation = {
  Request: 1,
  Response: 2,
  Reset: 3,
  Shutdown: 4,
  ReadWrite: 5,
  CreditUpdate: 6,
  CreditRequest: 7,
} as const;

/** enum virtio_vsock_shutdown: what the sender of the packet will not do any more. */
export const VsockShutdown = { Receive: 1, Send: 2, Both: 3 } as const;

/** struct virtio_vsock_event (§5.10.6.7). */
export const VsockEvent = struct({ id: u32 });

/** enum virtio_vsock_event_id */
export const VsockEventId = { TransportReset: 0 } as const;
