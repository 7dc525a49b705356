import { Errno, Events, type Fd, type Reactor, read, setNonBlocking, write } from "../os/mod.ts";
import type { ConsoleViewer } from "./console_hub.ts";

const CHUNK = 65536;

/** The host's end of a virtio console: a socket whose other end its worker has. Slow readers and writers wait. */
export class SocketConsole implements Disposable {
  readonly #socket: Fd;
  readonly #reactor: Reactor;
  readonly #output: ConsoleViewer;
  readonly #buffer = new Uint8Array(CHUNK);
  readonly #stopWatching: () => void;
  #writing: Promise<void> | undefined;
  #room = Promise.withResolvers<void>();
  #wantsRoom = false;
  #closed = false;

  /** @param socket stays the caller's */
  constructor(socket: Fd, reactor: Reactor, output: ConsoleViewer) {
    setNonBlocking(socket, true);
    this.#socket = socket;
    this.#reactor = reactor;
    this.#output = output;
    this.#stopWatching = reactor.add(socket, (events) => this.#ready(events));
  }

  /** Gives the guest all of the bytes; resolves when the worker's socket took the last, or will take no more. */
  async input(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length && !this.#closed;) {
      const count = write(this.#socket, bytes.subarray(done));
      if (count === -Errno.EAGAIN) {
        this.#wantsRoom = true;
        this.#watch();
        await this.#room.promise;
      } else if (count < 0) return;
      else done += count;
    }
  }

  /** Resolves when all output that the worker has passed on is written. */
  async flush(): Promise<void> {
    await this.#writing;
    // In turn with what the reactor may still call for: there is one buffer.
    await (this.#writing = this.#pump());
    this.#writing = undefined;
  }

  #ready(events: number): void {
    if (events & Events.Out) {
      this.#wantsRoom = false;
      this.#room.resolve();
      this.#room = Promise.withResolvers();
    }
    if ((events & Events.In) && this.#writing === undefined) {
      this.#writing = this.#pump().finally(() => {
        this.#writing = undefined;
        this.#watch();
      });
    }
    this.#watch();
  }

  /** Not for input while we write: what is there already would call back again and again. */
  #watch(): void {
    if (this.#closed || this.#socket.closed) return;
    const events = (this.#writing === undefined ? Events.In : 0) |
      (this.#wantsRoom ? Events.Out : 0);
    this.#reactor.change(this.#socket, events);
  }

  async #pump(): Promise<void> {
    for (;;) {
      const count = read(this.#socket, this.#buffer);
      if (count <= 0) return;
      await this.#output.write(this.#buffer.subarray(0, count));
    }
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    this.#closed = true;
    this.#room.resolve();
  }
}
