import {
  Errno,
  type Fd,
  type Owned,
  type Reactor,
  receiveMessage,
  sendMessage,
  setNonBlocking,
} from "../os/mod.ts";

/** A message that the scripted backend has got. */
export interface Heard {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Owned by the backend until it is disposed. */
  readonly fds: Owned<Fd>[];
}

/** What it says to a message: raw bytes, with descriptors if need be; undefined is the right answer, [] silence. */
export type Line = { bytes: Uint8Array; fds?: Owned<Fd>[] } | "hang up";
export type Script = (heard: Heard, backend: ScriptedBackend) => Line[] | undefined;

/** Settings of a well-behaved scripted backend. */
export interface ScriptedOptions {
  readonly features?: bigint;
  /** Undefined: it does not know protocol features at all. */
  readonly protocolFeatures?: bigint;
  readonly queueCount?: number;
  readonly config?: Uint8Array;
  /** Sizes of its regions of shared memory. */
  readonly sharedMemory?: readonly bigint[];
  /** Where each queue stands. */
  readonly base?: number;
  readonly makeInflight?: () => Owned<Fd>;
}

/**
 * A backend for tests that does no work: it answers by the book, written here byte for byte from the
 * specification and apart from the code under test, except where its script has it lie.
 */
export class ScriptedBackend implements Disposable {
  readonly heard: Heard[] = [];
  /** The socket that came with SetBackendReqFd. */
  requestSocket: Owned<Fd> | undefined;
  readonly #fd: Owned<Fd>;
  #unwatch: () => void;
  #closed = false;

  constructor(
    fd: Owned<Fd>,
    reactor: Reactor,
    private readonly options: ScriptedOptions = {},
    private readonly script: Script = () => undefined,
  ) {
    this.#fd = fd.move();
    setNonBlocking(this.#fd, true);
    this.#unwatch = reactor.add(this.#fd, () => this.#listen());
  }

  /** Message numbers in the order in which they came. */
  get order(): number[] {
    return this.heard.map((heard) => heard.request);
  }

  /** Sends raw bytes at any time. */
  say(bytes: Uint8Array, fds: Fd[] = []): void {
    if (!this.#closed) sendMessage(this.#fd, bytes, fds);
  }

  #listen(): void {
    while (!this.#closed) {
      const header = this.#take(12);
      if (header === undefined) return;
      const view = new DataView(header.bytes.buffer);
      const size = view.getUint32(8, true);
      const rest = size > 0 ? this.#take(size) : { bytes: new Uint8Array(0), fds: [] };
      if (rest === undefined) throw new Error("The frontend sent half a message");
      const heard = {
        request: view.getUint32(0, true),
        flags: view.getUint32(4, true),
        payload: rest.bytes,
        fds: [...header.fds, ...rest.fds],
      };
      this.heard.push(heard);
      if (heard.request === 21) this.requestSocket = heard.fds[0];
      for (const line of this.script(heard, this) ?? this.#answer(heard)) {
        if (line === "hang up") return this.close();
        this.say(line.bytes, line.fds);
        for (const fd of line.fds ?? []) fd[Symbol.dispose]();
      }
    }
  }

  #take(size: number): { bytes: Uint8Array<ArrayBuffer>; fds: Owned<Fd>[] } | undefined {
    const bytes = new Uint8Array(size);
    const { length, fds } = receiveMessage(this.#fd, bytes, 8);
    if (length === -Errno.EAGAIN) return undefined;
    if (length <= 0) {
      this.close();
      return undefined;
    }
    if (length !== size) throw new Error(`The frontend sent ${length} bytes of ${size}`);
    return { bytes, fds };
  }

  /** The right answer. */
  #answer(heard: Heard): Line[] {
    const { features = 1n << 32n, protocolFeatures, queueCount = 1, base = 0 } = this.options;
    const { config = new Uint8Array(0), makeInflight } = this.options;
    switch (heard.request) {
      case 1:
        return [reply(1, u64(protocolFeatures === undefined ? features : features | 1n << 30n))];
      case 15:
        return [reply(15, u64(protocolFeatures ?? 0n))];
      case 17:
        return [reply(17, u64(BigInt(queueCount)))];
      case 24:
        return [reply(24, heard.payload.slice(0, 12), config)];
      case 11:
        return [reply(11, heard.payload.slice(0, 4), u32(base))];
      case 31: {
        if (makeInflight === undefined) throw new Error("It has no in-flight region");
        const fields = [u64(4096n), u64(0n), heard.payload.slice(16, 20), new Uint8Array(4)];
        return [{ ...reply(31, ...fields), fds: [makeInflight()] }];
      }
      case 44: {
        const { sharedMemory: sizes = [] } = this.options;
        const all = Array.from({ length: 256 }, (_, i) => u64(sizes[i] ?? 0n));
        return [reply(44, u32(sizes.length), u32(0), ...all)];
      }
      default:
        return (heard.flags & 8) !== 0 ? [reply(heard.request, u64(0n))] : [];
    }
  }

  /** Hangs up. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#fd[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
    for (const heard of this.heard) for (const fd of heard.fds) fd[Symbol.dispose]();
  }
}

/** Bytes of a little-endian u64. */
export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

/** Bytes of a little-endian u32. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A message with flags of one's own making; `size` may lie. */
export function message(
  request: number,
  flags: number,
  payload: Uint8Array,
  size = payload.length,
): Uint8Array {
  return new Uint8Array([...u32(request), ...u32(flags), ...u32(size), ...payload]);
}

/** A proper reply: version 1, reply bit. */
export function reply(request: number, ...payload: Uint8Array[]): { bytes: Uint8Array } {
  return { bytes: message(request, 5, new Uint8Array(payload.flatMap((part) => [...part]))) };
}
