/** The port of AF_VSOCK on which a guest's agent listens. */
export const AGENT_PORT = 1024;
/** Name of the host's side of a VM's vsock device, in the VM's runtime directory. */
export const VSOCK_SOCKET = "vsock.sock";

/** What both sides begin with. */
export const MAGIC = "spectrum";
export const PROTOCOL_VERSION = 1;

/** Length of the payload and type, u32 each, little endian. */
export const HEADER_SIZE = 8;
/** Longest payload: the longest string that Linux gives to a program (MAX_ARG_STRLEN). */
export const MAX_PAYLOAD = 131_072;
/** Most bytes of standard input that an agent gives credit for. */
export const INPUT_WINDOW = 262_144;
/** How deep folders may be in each other in a copy. */
export const MAX_DEPTH = 256;

/** Types of frames; `src/guest/agent/protocol.h` says what each carries. */
export const FrameType = {
  Hello: 1,
  Argument: 2,
  Variable: 3,
  User: 4,
  Directory: 5,
  Terminal: 6,
  Execute: 16,
  Store: 17,
  Fetch: 18,
  PowerOff: 19,
  SetClock: 20,
  Input: 32,
  Signal: 33,
  Credit: 34,
  Started: 48,
  Output: 49,
  Errors: 50,
  InputCredit: 51,
  InputClosed: 52,
  Exited: 53,
  Failed: 54,
  Done: 55,
  Skipped: 56,
  Folder: 64,
  Regular: 65,
  Link: 66,
  Content: 67,
  Leave: 68,
} as const;

/** A frame that was received. Its payload is valid until the next one is read. */
export interface Frame {
  readonly type: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}
