import { Errno } from "./errno.ts";
import { Fd, type Owned } from "./fd.ts";
import { cString, library, monitor } from "./library.ts";
import { check } from "./os_error.ts";

/** Kinds of Unix socket (`socket(2)`). */
export const SocketType = { Stream: 1, SeqPacket: 5 } as const;

/** Two connected sockets. */
export function socketPair(type: number = SocketType.Stream): [Owned<Fd>, Owned<Fd>] {
  const pair = new Int32Array(2);
  check(monitor().sp_socket_pair(type, pair), "create", "a socket pair");
  return [Fd.own(pair[0]), Fd.own(pair[1])];
}

/**
 * A socket that listens at a path, which must not exist yet.
 *
 * @example
 * ```ts
 * using listening = listenUnix("/tmp/spectrum-example.sock");
 * console.log(listening.closed);
 * Deno.removeSync("/tmp/spectrum-example.sock");
 * ```
 */
export function listenUnix(path: string, type: number = SocketType.Stream): Owned<Fd> {
  return Fd.own(check(monitor().sp_listen(cString(path), type), "listen at", path));
}

/** A stream socket that is not connected yet. Until it is made blocking nobody holds it up. */
export function unixSocket(): Owned<Fd> {
  return Fd.own(check(monitor().sp_unix_socket(SocketType.Stream), "make", "a socket"));
}

/** A socket connected to whoever listens at a path. */
export function connectUnix(path: string, type: number = SocketType.Stream): Owned<Fd> {
  return Fd.own(check(monitor().sp_connect(cString(path), type), "connect to", path));
}

/** The next connection, or undefined when a non-blocking listener has none. */
export function acceptUnix(fd: Fd): Owned<Fd> | undefined {
  const result = library().sp_accept(fd.raw());
  if (result === -Errno.EAGAIN || result === -Errno.EINTR || result === -103) return undefined;
  return Fd.own(check(result, "accept", "a connection"));
}

/** `how` of shutdown(2). */
const Shutdown = { Read: 0, Write: 1 } as const;

/** Ends the stream towards the peer, who reads its end when all before it was read; what it sends still comes. */
export function shutdownWrite(fd: Fd): void {
  check(library().sp_shutdown(fd.raw(), Shutdown.Write), "end", "a stream");
}

/** Ends the stream from the peer, whose next write fails with EPIPE. */
export function shutdownRead(fd: Fd): void {
  check(library().sp_shutdown(fd.raw(), Shutdown.Read), "end", "a stream");
}

/** Who made a connection. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Who is at the other end of a connected socket, as of when it connected (SO_PEERCRED). */
export function peerOf(fd: Fd): Peer {
  const [pid, uid, gid] = peerNumbers(fd);
  return { pid, uid: uid >>> 0, gid: gid >>> 0 };
}

function peerNumbers(fd: Fd): Int32Array {
  const out = new Int32Array(3);
  check(monitor().sp_peer(fd.raw(), out), "identify", "a peer");
  return out;
}

/** Whether operations on the open file return -EAGAIN instead of waiting; all its descriptors share this. */
export function setNonBlocking(fd: Fd, on: boolean): void {
  check(library().sp_set_nonblocking(fd.raw(), on ? 1 : 0), "configure", "a descriptor");
}
