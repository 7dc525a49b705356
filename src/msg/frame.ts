import { struct, u16, u32 } from "../codec/mod.ts";

/** What stands before each message. */
export const FrameHeader = struct({
  /** {@link FRAME_MAGIC}: the format, and its version. */
  magic: u16,
  /** How many descriptors belong to the message. */
  descriptors: u16,
  /** Bytes of payload that follow. */
  length: u32,
});

/** "S1", little endian. */
export const FRAME_MAGIC = 0x3153;

/** The longest payload when nothing else is said, in bytes. */
export const DEFAULT_LIMIT = 16 * 2 ** 20;
