/** The ways in which a driver can break a virtqueue. */
export type QueueFault =
  /** The available index is further ahead than the queue is long. */
  | "available-index"
  /** The available ring names a descriptor that does not exist. */
  | "head"
  /** A descriptor's next does not exist. */
  | "next"
  /** A chain is longer than its table: it loops. */
  | "loop"
  /** A chain has more pieces than the device takes. */
  | "too-long"
  /** The pieces of a chain have more than 2^32 bytes together. */
  | "too-large"
  /** A buffer is not in guest memory. */
  | "address"
  /** A device-readable buffer follows a device-writable one. */
  | "order"
  /** An indirect descriptor that was not negotiated, is within a table, or goes on after its table. */
  | "indirect"
  /** An indirect table that is empty, cut, too long or not in guest memory. */
  | "indirect-table"
  /** What the chain carries is no request of this device. */
  | "request";

const texts: Record<QueueFault, string> = {
  "available-index": "it made more buffers available than the queue has",
  "head": "it made a descriptor available that does not exist",
  "next": "a descriptor points to one that does not exist",
  "loop": "a chain of descriptors loops",
  "too-long": "a chain of descriptors is longer than this device takes",
  "too-large": "a chain of descriptors has more than 4 GiB",
  "address": "a buffer is not in guest memory",
  "order": "a readable buffer follows a writable one",
  "indirect": "an indirect descriptor is where none may be",
  "indirect-table": "an indirect descriptor has no valid table",
  "request": "a request has no place for its header or its status",
};

/** The fault in words: `a chain of descriptors loops`. */
export function queueFaultText(fault: QueueFault): string {
  return texts[fault];
}
