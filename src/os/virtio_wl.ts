import { Errno } from "./errno.ts";
import { Fd, type Owned } from "./fd.ts";
import { library, monitor } from "./library.ts";
import type { Received } from "./message.ts";
import { openFile } from "./file.ts";
import { check, OsError } from "./os_error.ts";

/** The most descriptors that one message over Virtio Wayland carries (VIRTWL_SEND_MAX_ALLOCS). */
export const MAX_VFDS = 28;

/** The longest name of a context, in bytes. */
const MAX_NAME = 32;

/** One call moves so many bytes at most: several fit into what the driver keeps under way of one VFD. */
const PIECE = 32768;

/** Request of `/dev/wl0` (`virtwl.h`). */
const NEW = 0xc030_7700;

/** What is done to a VFD. */
const Direction = { Send: 0, Receive: 1 } as const;

/** What NEW makes (VIRTWL_IOCTL_NEW_*); Event is ours. */
const NewType = { PipeRead: 2, PipeWrite: 3, NamedContext: 5, Event: 16 } as const;

/** struct virtwl_ioctl_new: u32 type, int fd, u32 flags, then what depends on the type. */
const New = { type: 0, fd: 4, name: 12, length: 48 } as const;

/** struct virtwl_ioctl_txn: int fds[28], u32 len, then data. */
const Transaction = { fds: 0, length: 4 * MAX_VFDS, data: 4 * MAX_VFDS + 4 } as const;

/**
 * Virtio Wayland in a guest: makes virtual file descriptors (VFDs), which are real descriptors here and pass to the
 * host, and to other processes, as such. VFDs may outlive it.
 */
export class VirtioWl implements Disposable {
  readonly #device: Owned<Fd>;

  private constructor(device: Owned<Fd>) {
    this.#device = device;
  }

  /** Takes over an open `/dev/wl0`. */
  static own(device: Owned<Fd>): VirtioWl {
    return new VirtioWl(device.move());
  }

  /** The device itself, for a worker; stays here. */
  get fd(): Fd {
    return this.#device;
  }

  /** @throws OsError ENOENT where there is no such device, or no driver for it */
  static open(path = "/dev/wl0"): VirtioWl {
    return new VirtioWl(openFile(path, { write: true }));
  }

  /**
   * A connection to a socket of the host.
   *
   * @param name which one, as the VM's configuration calls it; at most 32 bytes
   * @throws OsError ENOENT when the configuration has no such name
   */
  context(name: string): Owned<Fd> {
    const bytes = new TextEncoder().encode(name);
    if (bytes.length === 0 || bytes.length > MAX_NAME || bytes.includes(0)) {
      throw new RangeError(`"${name}" cannot be the name of a context: 1 to ${MAX_NAME} bytes`);
    }
    return this.#make(
      NewType.NamedContext,
      `a context to "${name}"`,
      (request) => request.set(bytes, New.name),
    );
  }

  /** Zeroed memory that both sides can map. @param size in bytes, below 4 GiB */
  memory(size: number): Owned<Fd> {
    if (!Number.isInteger(size) || size <= 0 || size >= 2 ** 32) {
      throw new RangeError(`${size} is no size for memory that is shared with the host`);
    }
    const made = check(
      library().sp_wl_memory(this.#device.raw(), size),
      "make",
      "memory that is shared with the host",
    );
    library().sp_set_cloexec(made);
    return Fd.own(made);
  }

  /** This guest's end of a pipe. Sending it hands the other end to the host. */
  pipe(end: "read" | "write"): Owned<Fd> {
    return this.#make(end === "read" ? NewType.PipeRead : NewType.PipeWrite, "a pipe to the host");
  }

  /** A counter as of eventfd, which the host sees as one. */
  event(): Owned<Fd> {
    return this.#make(NewType.Event, "an event that is shared with the host");
  }

  #make(type: number, subject: string, fill: (request: Uint8Array) => void = () => {}): Owned<Fd> {
    const request = new Uint8Array(New.length);
    const view = new DataView(request.buffer);
    view.setUint32(New.type, type, true);
    view.setInt32(New.fd, -1, true);
    fill(request);
    check(this.#perform(request), "make", subject);
    const made = Fd.own(view.getInt32(New.fd, true));
    monitor().sp_set_cloexec(made.raw());
    return made;
  }

  #perform(request: Uint8Array<ArrayBuffer>): number {
    for (;;) {
      const result = monitor().sp_ioctl_buffer(this.#device.raw(), NEW, request);
      if (result !== -Errno.EINTR) return result;
    }
  }

  [Symbol.dispose](): void {
    this.#device[Symbol.dispose]();
  }
}

/**
 * Lets the VFD of an event cross without the device, and without a process of the host, where that is possible: of its
 * counts one may then stand for several, or for none.
 *
 * @returns false when it is no such VFD
 */
export function makeDoorbell(event: Fd): boolean {
  const result = library().sp_wl_doorbell(event.raw());
  if (result === -Errno.ENOTTY || result === -Errno.EINVAL) return false;
  check(result, "make a doorbell of", "an event");
  return true;
}

const transaction = new Uint8Array(Transaction.data + PIECE);
const fields = new DataView(transaction.buffer);

/**
 * Sends bytes and VFDs, which stay the caller's, as {@link sendMessage} does over a Unix socket. On a VFD that is
 * non-blocking the driver may keep them under way; what becomes of them a later call tells.
 *
 * @param fds at most {@link MAX_VFDS}
 * @returns bytes taken, fewer than asked when there are many; or -EAGAIN, -EPIPE when the host's end is gone
 * @throws OsError on anything else: EINVAL when one of `fds` is no VFD; nothing was sent then
 */
export function sendVfds(fd: Fd, bytes: Uint8Array, fds: readonly Fd[] = []): number {
  if (fds.length > MAX_VFDS) throw new RangeError(`${fds.length} VFDs do not fit into a message`);
  const length = Math.min(bytes.length, PIECE);
  for (let i = 0; i < MAX_VFDS; i++) {
    fields.setInt32(Transaction.fds + 4 * i, i < fds.length ? fds[i].raw() : -1, true);
  }
  fields.setUint32(Transaction.length, length, true);
  transaction.set(bytes.subarray(0, length), Transaction.data);
  const result = transact(fd, Direction.Send);
  if (result >= 0) return length;
  if (result === -Errno.EAGAIN || result === -Errno.EPIPE) return result;
  throw new OsError("send", "to the host", -result);
}

/**
 * Receives bytes and VFDs, which come with the first byte of what they were sent with.
 *
 * @throws OsError on anything but the results that {@link Received} names
 */
export function receiveVfds(fd: Fd, buffer: Uint8Array): Received {
  for (let i = 0; i < MAX_VFDS; i++) fields.setInt32(Transaction.fds + 4 * i, -1, true);
  fields.setUint32(Transaction.length, Math.min(buffer.length, PIECE), true);
  const result = transact(fd, Direction.Receive);
  if (result === -Errno.EAGAIN || result === -Errno.EPIPE) {
    return { length: result, fds: [], truncated: false };
  }
  check(result, "receive", "from the host");
  const length = Math.min(fields.getUint32(Transaction.length, true), buffer.length, PIECE);
  const fds: Owned<Fd>[] = [];
  for (let i = 0; i < MAX_VFDS; i++) {
    const number = fields.getInt32(Transaction.fds + 4 * i, true);
    if (number < 0) break;
    fds.push(Fd.own(number));
  }
  buffer.set(transaction.subarray(Transaction.data, Transaction.data + length));
  return { length, fds, truncated: false };
}

function transact(fd: Fd, direction: number): number {
  const number = fd.raw();
  for (;;) {
    const result = library().sp_wl_transact(number, direction, transaction, transaction.length);
    if (result !== -Errno.EINTR) return result;
  }
}
