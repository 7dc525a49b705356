import type { Reactor } from "../os/mod.ts";
import type { SerialPort } from "../platform/mod.ts";
import type { ConsoleViewer } from "./console_hub.ts";

/** The host's end of the boot console: output to where the user wants it, input with back-pressure. */
export class SerialConsole implements Disposable {
  readonly #port: SerialPort;
  readonly #output: ConsoleViewer;
  readonly #see: (bytes: Uint8Array) => void;
  readonly #stopWatching: () => void;
  #writing: Promise<void> | undefined;
  #room = Promise.withResolvers<void>();
  #closed = false;

  /** `see` is shown all output. */
  constructor(
    port: SerialPort,
    reactor: Reactor,
    output: ConsoleViewer,
    see: (bytes: Uint8Array) => void,
  ) {
    this.#port = port;
    this.#output = output;
    this.#see = see;
    this.#stopWatching = reactor.add(port.wake.fd, () => this.#woken());
  }

  /** Gives the guest all of the bytes; resolves when its receiver took the last, or will take no more. */
  async input(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length && !this.#closed;) {
      const room = this.#room.promise;
      const accepted = this.#port.input(bytes.subarray(done));
      if (accepted === 0) await room;
      done += accepted;
    }
  }

  /** Resolves when all output so far is written. */
  async flush(): Promise<void> {
    await this.#writing;
    await this.#write();
  }

  #woken(): void {
    this.#port.acknowledge();
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    for (;;) {
      const bytes = this.#port.drain();
      if (bytes.length === 0) return;
      this.#see(bytes);
      await this.#output.write(bytes);
    }
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    this.#closed = true;
    this.#room.resolve();
  }
}
