import {
  acceptUnix,
  Events,
  type Fd,
  listenUnix,
  OsError,
  type Owned,
  peerOf,
  type Reactor,
  setNonBlocking,
  SocketStream,
} from "../os/mod.ts";

/** For how long nobody is accepted when this process has no descriptor left, in milliseconds. */
const PAUSE = 1000;

/** What a server does with those who connect. */
export interface UnixServerOptions {
  readonly path: string;
  /** Connections at a time. */
  readonly limit: number;
  /** What one too many is told. */
  readonly busy: string;
  /** Serves one connection to its end; must not throw. The stream is closed afterwards. */
  serve(stream: SocketStream): Promise<void>;
  /** Told once for each who is refused. */
  refused(why: string): void;
}

/** A socket at a path, for its owner alone: whoever else gets at it is refused (SO_PEERCRED). */
export class UnixServer implements AsyncDisposable {
  readonly #options: UnixServerOptions;
  readonly #listener: Owned<Fd>;
  readonly #reactor: Reactor;
  readonly #streams = new Map<SocketStream, Promise<void>>();
  #paused: ReturnType<typeof setTimeout> | undefined;

  /**
   * Listens from here on. What a killed predecessor left at the path is removed: the caller knows that the path is its
   * own.
   *
   * @throws {OsError}
   */
  constructor(reactor: Reactor, options: UnixServerOptions) {
    this.#options = options;
    this.#reactor = reactor;
    removeSocket(options.path);
    this.#listener = listenUnix(options.path);
    // A connection may be gone before it is accepted; then accepting must not wait for the next one.
    setNonBlocking(this.#listener, true);
    reactor.add(this.#listener, () => this.#accept());
  }

  #accept(): void {
    for (;;) {
      let fd: Owned<Fd> | undefined;
      try {
        fd = acceptUnix(this.#listener);
      } catch (error) {
        if (!(error instanceof OsError)) throw error;
        return this.#pause(error);
      }
      if (fd === undefined) return;
      this.#admit(fd);
    }
  }

  #admit(fd: Owned<Fd>): void {
    using connection = fd;
    const { uid, pid } = peerOf(connection);
    const own = Deno.uid() ?? 0;
    if (uid !== own && uid !== 0) {
      return this.#options.refused(`process ${pid} of user ${uid} may not connect`);
    }
    const stream = new SocketStream(connection, this.#reactor);
    if (this.#streams.size >= this.#options.limit) {
      void stream.write(new TextEncoder().encode(this.#options.busy), 0)
        .finally(() => stream[Symbol.dispose]());
      return this.#options.refused(`there are ${this.#streams.size} connections already`);
    }
    const served = this.#options.serve(stream).finally(() => {
      stream[Symbol.dispose]();
      this.#streams.delete(stream);
    });
    this.#streams.set(stream, served);
  }

  #pause(error: OsError): void {
    this.#options.refused(error.message);
    this.#reactor.change(this.#listener, 0);
    this.#paused = setTimeout(() => this.#reactor.change(this.#listener, Events.In), PAUSE);
  }

  /** Accepts nobody any more; resolves when those who are served have what they were promised, or the time is over. */
  async close(limitMs: number): Promise<void> {
    clearTimeout(this.#paused);
    this.#listener[Symbol.dispose]();
    removeSocket(this.#options.path);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, limitMs));
    await Promise.race([Promise.all(this.#streams.values()), late]);
    clearTimeout(timer);
    for (const stream of this.#streams.keys()) stream[Symbol.dispose]();
    await Promise.all(this.#streams.values());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(0);
  }
}

function removeSocket(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
