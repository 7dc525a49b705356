import { join } from "node:path";
import {
  acceptUnix,
  type Fd,
  listenUnix,
  OsError,
  type Owned,
  peerOf,
  type Reactor,
  setNonBlocking,
} from "../os/mod.ts";
import { limited } from "../vhost/mod.ts";
import type { Backend } from "./backend.ts";
import type { Log } from "./log.ts";
import { MachineError } from "./outcome.ts";
import { runtimeBase } from "./runtime_base.ts";
import { isRunning, readRecord } from "./runtime_dir.ts";

/** Whose device it is, and where its backend finds us. */
export interface ProviderOptions {
  /** Name of the VM that provides the device. */
  readonly vm: string;
  /** Path of the socket that its monitor connects to. */
  readonly path: string;
  readonly reactor: Reactor;
  readonly log: Log;
}

/**
 * A backend in another VM, which comes to us: its monitor connects to our socket on behalf of what runs there. We wait
 * for it as long as it takes, and take a connection from nobody else.
 */
export class ProviderBackend implements Backend, Disposable {
  readonly kind = "vm";
  readonly pid = undefined;
  readonly failure = undefined;
  readonly permissions: string;
  readonly #options: ProviderOptions;
  readonly #listening: Owned<Fd>;
  readonly #warn: (reason: string) => void;
  #waiting: PromiseWithResolvers<Owned<Fd>> | undefined;

  /** @throws {MachineError} when it cannot listen there */
  constructor(options: ProviderOptions) {
    this.#options = options;
    this.#warn = limited((reason) => options.log.warn(reason));
    this.permissions = `those that the VM "${options.vm}" gives it`;
    try {
      this.#listening = listenUnix(options.path);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new MachineError("host", `Cannot wait for the VM "${options.vm}": ${error.message}.`);
    }
    setNonBlocking(this.#listening, true);
  }

  async connect(): Promise<Owned<Fd>> {
    const { vm, reactor, log } = this.#options;
    log.info(`waits for its backend in the VM "${vm}"`);
    const unwatch = reactor.add(this.#listening, () => this.#accept());
    const waiting = this.#waiting = Promise.withResolvers<Owned<Fd>>();
    try {
      return await waiting.promise;
    } finally {
      this.#waiting = undefined;
      unwatch();
    }
  }

  /** Nothing there is ours to end; but we need not wait. */
  kill(): void {
    const { vm } = this.#options;
    this.#waiting?.reject(new MachineError("host", `The VM "${vm}" is not waited for any more.`));
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  #accept(): void {
    const { vm } = this.#options;
    try {
      using connection = acceptUnix(this.#listening);
      if (connection === undefined) return;
      const { pid } = peerOf(connection);
      const directory = join(runtimeBase(), vm);
      if (isRunning(directory) && readRecord(directory)?.pid === pid) {
        this.#waiting?.resolve(connection.move());
        return;
      }
      this.#warn(`process ${pid} is not the monitor of the VM "${vm}" and may not be its backend`);
    } catch (error) {
      if (!(error instanceof OsError || error instanceof MachineError)) throw error;
      this.#warn(error.message);
    }
  }

  [Symbol.dispose](): void {
    this.kill();
    this.#listening[Symbol.dispose]();
  }
}
