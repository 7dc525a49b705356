import {
  acceptUnix,
  connectUnix,
  type Fd,
  listenUnix,
  OsError,
  type Owned,
  Reactor,
  setNonBlocking,
} from "../../os/mod.ts";
import type { Transport } from "../../msg/mod.ts";
import { ConnectError, noContext } from "./connect_error.ts";
import { LocalEnd } from "./local_end.ts";
import { Relay } from "./relay.ts";

/** After so many milliseconds it is tried again whether there are descriptors for a connection. */
const RETRY = 500;

/** What is connected to what. */
export interface ConnectorOptions {
  /** The host's socket, as the VM's configuration calls it. */
  readonly name: string;
  /** Where programs in the guest connect. */
  readonly path: string;
  /** A new context to the host's socket. @throws OsError */
  readonly openContext: () => Transport;
  /** Told why a connection was refused or broken off. */
  readonly warn: (message: string) => void;
}

/** A Unix socket in the guest, each connection of which is a context to a socket of the host. */
export class Connector implements Disposable {
  readonly #options: ConnectorOptions;
  readonly #reactor: Reactor;
  readonly #listening: Owned<Fd>;
  readonly #relays = new Set<Relay>();
  #stopListening: () => void;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #lastWarning = "";

  /** @throws OsError, ConnectError when it cannot listen there */
  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#listening = listenAlone(options.path);
    setNonBlocking(this.#listening, true);
    this.#reactor = new Reactor();
    this.#stopListening = this.#listen();
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#relays.size;
  }

  #listen(): () => void {
    return this.#reactor.add(this.#listening, () => this.#accept());
  }

  #accept(): void {
    try {
      for (;;) {
        using connection = acceptUnix(this.#listening);
        if (connection === undefined) return;
        this.#connect(connection);
      }
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#warn(error.message);
      this.#stopListening();
      this.#retry = setTimeout(() => this.#stopListening = this.#listen(), RETRY);
    }
  }

  #connect(connection: Owned<Fd>): void {
    let context: Transport;
    try {
      context = this.#options.openContext();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      return this.#warn(noContext(this.#options.name, error));
    }
    this.#lastWarning = "";
    const relay: Relay = new Relay(new LocalEnd(connection), context, this.#reactor, (error) => {
      this.#relays.delete(relay);
      if (error !== undefined) this.#warn(`A connection was closed: ${error.message}`);
    });
    this.#relays.add(relay);
  }

  /** The same again and again is said once. */
  #warn(message: string): void {
    if (message === this.#lastWarning) return;
    this.#lastWarning = message;
    this.#options.warn(message);
  }

  /** Closes all connections, and removes the socket. */
  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
    this.#listening[Symbol.dispose]();
    removeIfThere(this.#options.path);
    for (const relay of this.#relays) relay[Symbol.dispose]();
    this.#relays.clear();
    this.#reactor[Symbol.dispose]();
  }
}

/** Listens at a path, in place of a socket that somebody has left there. */
function listenAlone(path: string): Owned<Fd> {
  try {
    return listenUnix(path);
  } catch (error) {
    if (!(error instanceof OsError) || error.code !== "EADDRINUSE") throw error;
    if (!isAbandoned(path)) {
      throw new ConnectError(`${path} is there already, and in use; choose another by --socket`, 1);
    }
    Deno.removeSync(path);
    return listenUnix(path);
  }
}

/** Only a socket that nobody listens at refuses; whatever else is there stays. */
function isAbandoned(path: string): boolean {
  try {
    using _connected = connectUnix(path);
    return false;
  } catch (error) {
    return error instanceof OsError && error.code === "ECONNREFUSED" &&
      Deno.lstatSync(path).isSocket === true;
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
