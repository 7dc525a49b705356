import {
  acceptUnix,
  type Fd,
  listenUnix,
  OsError,
  type Owned,
  peerOf,
  type Reactor,
  setNonBlocking,
  shutdownWrite,
} from "../../os/mod.ts";
import { limited } from "../../vhost/mod.ts";
import type { Backend } from "../backend.ts";
import type { Log } from "../log.ts";
import { MachineError } from "../outcome.ts";
import { runtimeBase } from "../runtime_base.ts";
import { deviceSocket, isMonitorOf, type Provision, whatProviderLacks } from "./rendezvous.ts";

/** Whose device it is, and where its backend finds us. */
export interface ProviderOptions extends Provision {
  /** The user's runtime directory. */
  readonly runtime: string;
  readonly reactor: Reactor;
  readonly log: Log;
}

/**
 * A backend in another VM, which comes to us: while we wait for it, there is a socket that the other VM's monitor
 * connects to on behalf of what runs there. We wait as long as it takes, and take a connection from nobody else.
 */
export class ProviderBackend implements Backend, Disposable {
  readonly kind = "vm";
  readonly pid = undefined;
  readonly failure = undefined;
  readonly permissions: string;
  readonly #options: ProviderOptions;
  readonly #path: string;
  readonly #warn: (reason: string) => void;
  #waiting: PromiseWithResolvers<Owned<Fd>> | undefined;
  /** The last connection, until the backend has let go of its end, and with it of the guest's memory. */
  #held: Owned<Fd> | undefined;
  #gone = Promise.withResolvers<void>();

  constructor(options: ProviderOptions) {
    this.#options = options;
    this.#path = deviceSocket(options.runtime, options.device);
    this.#warn = limited((reason) => options.log.warn(reason));
    this.permissions = `those that the VM "${options.provider}" gives it`;
    this.#gone.resolve();
  }

  get away(): string {
    const { provider } = this.#options;
    return this.#held === undefined
      ? whatProviderLacks(this.#options, runtimeBase())
      : `waits for the VM "${provider}" to end what served it last`;
  }

  async connect(): Promise<Owned<Fd>> {
    const waiting = this.#waiting = Promise.withResolvers<Owned<Fd>>();
    try {
      await Promise.race([this.finish(), waiting.promise]);
      using connection = await this.#accepted(waiting.promise);
      this.#hold(connection);
      return connection.move();
    } finally {
      this.#waiting = undefined;
    }
  }

  async #accepted(connection: Promise<Owned<Fd>>): Promise<Owned<Fd>> {
    const { reactor, log } = this.#options;
    using listening = this.#listen();
    log.info(this.away);
    const unwatch = reactor.add(listening, () => this.#accept(listening));
    try {
      return await connection;
    } finally {
      unwatch();
      // Nobody is to take it for a wait that goes on.
      removeSocket(this.#path);
    }
  }

  /** The process there is not ours to end, but its VM ends it when we hang up. A wait of ours is over. */
  kill(): void {
    this.#giveUp(`The VM "${this.#options.provider}" is not waited for any more.`);
    this.#hangUp();
  }

  /** Resolves when the other VM has let go of our guest's memory, which is up to it. */
  finish(): Promise<void> {
    this.#hangUp();
    return this.#gone.promise;
  }

  abandon(): void {
    this.#hangUp();
    this.#letGo();
  }

  #hangUp(): void {
    if (this.#held !== undefined) shutdownWrite(this.#held);
  }

  #letGo(): void {
    this.#held?.[Symbol.dispose]();
    this.#held = undefined;
    this.#gone.resolve();
  }

  #listen(): Owned<Fd> {
    try {
      const listening = listenUnix(this.#path);
      setNonBlocking(listening, true);
      return listening;
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      const { provider } = this.#options;
      throw new MachineError("host", `Cannot wait for the VM "${provider}": ${error.message}.`);
    }
  }

  #hold(connection: Fd): void {
    const { reactor } = this.#options;
    const held = this.#held = connection.dup();
    this.#gone = Promise.withResolvers<void>();
    // Both directions are over: we have hung up, and all descriptors of the other end are closed.
    reactor.add(held, () => this.#letGo(), 0);
  }

  #accept(listening: Fd): void {
    const { provider } = this.#options;
    try {
      using connection = acceptUnix(listening);
      if (connection === undefined || this.#waiting === undefined) return;
      const { pid } = peerOf(connection);
      if (isMonitorOf(provider, pid, runtimeBase())) {
        this.#waiting.resolve(connection.move());
        this.#waiting = undefined;
        return;
      }
      this.#warn(
        `process ${pid} is not the monitor of the VM "${provider}" and may not be its backend`,
      );
    } catch (error) {
      if (!(error instanceof OsError || error instanceof MachineError)) throw error;
      // To listen on would tell us again and again.
      this.#giveUp(`Cannot take a connection of the VM "${provider}": ${error.message}.`);
    }
  }

  /** Ends the wait, if there is one. */
  #giveUp(reason: string): void {
    this.#waiting?.reject(new MachineError("host", reason));
    this.#waiting = undefined;
  }

  [Symbol.dispose](): void {
    this.kill();
    this.abandon();
  }
}

function removeSocket(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    // Somebody may have cleared the runtime directory.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
