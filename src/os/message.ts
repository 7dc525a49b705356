import { Errno } from "./errno.ts";
import { Fd, type Owned } from "./fd.ts";
import type { IoVector } from "./io_vector.ts";
import { library } from "./library.ts";
import { OsError } from "./os_error.ts";

/** Flags of sending and receiving (`recv(2)`). */
export const MessageFlags = { Peek: 0x02, DontWait: 0x40, WaitAll: 0x100 } as const;

/** The most descriptors that one message can carry (SCM_MAX_FD). */
export const MAX_DESCRIPTORS = 253;

/** What came in. The receiver owns the descriptors. */
export interface Received {
  /** Bytes; 0 when the peer has closed, -EAGAIN when there is nothing yet, -ECONNRESET when it broke off. */
  readonly length: number;
  readonly fds: Owned<Fd>[];
  /** A packet was longer than the buffer, or had more descriptors than expected (those are closed). */
  readonly truncated: boolean;
}

const none = new Int32Array(1);
const outgoing = new Int32Array(MAX_DESCRIPTORS);
const incoming = new Int32Array(MAX_DESCRIPTORS);
const info = new Uint32Array(2);

/**
 * Sends bytes and descriptors, which stay the caller's.
 *
 * @returns bytes sent (fewer than asked on a stream that is full), or -EAGAIN, -EPIPE, -ECONNRESET
 * @throws OsError on anything else; on a closed descriptor before a byte leaves
 */
export function sendMessage(fd: Fd, bytes: Uint8Array, fds: readonly Fd[] = [], flags = 0): number {
  const list = numbersOf(fds);
  const socket = fd.raw();
  for (;;) {
    const result = library().sp_send(
      socket,
      bytes as Uint8Array<ArrayBuffer>,
      bytes.length,
      list,
      fds.length,
      flags,
    );
    if (result !== -Errno.EINTR) return expected(result, "send a message");
  }
}

/**
 * Sends ranges of the window, and descriptors, which stay the caller's. Never waits.
 *
 * @returns bytes sent, or a negative error number
 */
export function sendVector(fd: Fd, vector: IoVector, fds: readonly Fd[]): number {
  const list = numbersOf(fds);
  const socket = fd.raw();
  const { offset, count } = vector;
  for (;;) {
    const flags = MessageFlags.DontWait;
    const result = library().sp_send_vector(socket, offset, count, list, fds.length, flags);
    if (result !== -Errno.EINTR) return result;
  }
}

/** Whether the peer of a stream has read all that was sent to it, and taken the descriptors with it; or is gone. */
export function isRead(fd: Fd): boolean {
  return library().sp_unread(fd.raw()) === 0;
}

/**
 * Receives into a buffer, with at most `maxFds` descriptors; more are closed and `truncated` is set.
 *
 * @throws OsError on anything but the results that {@link Received} names
 */
export function receiveMessage(fd: Fd, buffer: Uint8Array, maxFds: number, flags = 0): Received {
  const capacity = Math.min(maxFds, MAX_DESCRIPTORS);
  const socket = fd.raw();
  for (;;) {
    const length = library().sp_receive(
      socket,
      buffer as Uint8Array<ArrayBuffer>,
      buffer.length,
      incoming,
      capacity,
      info,
      flags,
    );
    if (length === -Errno.EINTR) continue;
    expected(length, "receive a message");
    const fds: Owned<Fd>[] = [];
    if (length >= 0) { for (let i = 0; i < info[0]; i++) fds.push(Fd.own(incoming[i])); }
    return { length, fds, truncated: length >= 0 && info[1] !== 0 };
  }
}

/**
 * As {@link receiveMessage} on a stream, where descriptors come with the first byte of what they were sent with. The
 * kernel hands them out with bytes that were sent before, and does not say how many; whoever sends on what comes here has
 * to know. Nobody else may receive from this socket meanwhile.
 */
export function receivePiece(fd: Fd, buffer: Uint8Array, maxFds: number, flags = 0): Received {
  const bytes = buffer as Uint8Array<ArrayBuffer>;
  const length = library().sp_piece(fd.raw(), bytes, bytes.length, flags);
  return receiveMessage(fd, length > 0 ? buffer.subarray(0, length) : buffer, maxFds, flags);
}

/**
 * As {@link receivePiece}, into ranges of the window. Never waits.
 *
 * @param fds what descriptors come are added here, and are the caller's
 * @param maxFds the most of them
 * @returns bytes; 0 at the end; a negative error number, -EMSGSIZE when there were more descriptors, which are lost
 */
export function receiveVector(
  fd: Fd,
  vector: IoVector,
  fds: Owned<Fd>[],
  maxFds: number,
): number {
  const capacity = Math.min(maxFds, MAX_DESCRIPTORS);
  const socket = fd.raw();
  const { offset, count } = vector;
  for (;;) {
    const length = library().sp_receive_piece(socket, offset, count, incoming, capacity, info);
    if (length === -Errno.EINTR) continue;
    if (length < 0) return length;
    for (let i = 0; i < info[0]; i++) fds.push(Fd.own(incoming[i]));
    return info[1] === 0 ? length : -Errno.EMSGSIZE;
  }
}

/** The descriptors of a message as the shim takes them. @throws RangeError; OsError for one that is closed */
function numbersOf(fds: readonly Fd[]): Int32Array<ArrayBuffer> {
  if (fds.length > MAX_DESCRIPTORS) {
    throw new RangeError(`${fds.length} descriptors do not fit into a message`);
  }
  for (let i = 0; i < fds.length; i++) outgoing[i] = fds[i].raw();
  return fds.length === 0 ? none : outgoing;
}

function expected(result: number, operation: string): number {
  if (
    result >= 0 || result === -Errno.EAGAIN || result === -Errno.EPIPE ||
    result === -Errno.ECONNRESET
  ) return result;
  throw new OsError(operation, "", -result);
}
