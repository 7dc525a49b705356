import { join } from "node:path";
import {
  type AgentConnection,
  AgentLostError,
  type AgentStream,
  connectAgent,
  powerOffGuest,
  setGuestClock,
  VSOCK_SOCKET,
} from "../agent/mod.ts";
import { OsError, type Reactor, SocketStream } from "../os/mod.ts";
import type { Dialer } from "./dialer.ts";
import type { Log } from "./log.ts";

/** For how long an agent is waited for: it is of use only now. */
const WAIT_MS = 10_000;
/** How often it is asked again: where a guest goes on from a snapshot, its first connections are reset. */
const ATTEMPTS = 3;

/** How a guest's agent is reached. */
export interface GuestAgentOptions {
  /** The VM's runtime directory. */
  readonly runtime: string;
  readonly dialer: Dialer;
  readonly reactor: Reactor;
  readonly log: Log;
}

/** What a monitor wants of the agent in its guest. A guest without one does without. */
export class GuestAgent {
  readonly #options: GuestAgentOptions;
  readonly #socket: string;
  readonly #log: Log;

  constructor(options: GuestAgentOptions) {
    this.#options = options;
    this.#socket = join(options.runtime, VSOCK_SOCKET);
    this.#log = options.log.for({ component: "agent" });
    options.dialer.admit(this.#socket);
  }

  /** Has the guest's wall clock set, which stood still. Does not throw. */
  async setClock(): Promise<void> {
    await this.#ask("the guest's clock was not set", setGuestClock);
  }

  /** Has the guest power off in its own way. Does not throw. */
  async powerOff(): Promise<void> {
    await this.#ask("the guest was not asked to power off", powerOffGuest);
  }

  async #ask(failure: string, what: (connection: AgentConnection) => Promise<void>): Promise<void> {
    for (let attempt = 1;; attempt++) {
      try {
        const connection = await connectAgent(() => this.#connect(), { waitMs: WAIT_MS });
        // One that says nothing more is not waited for without end.
        const timer = setTimeout(() => connection[Symbol.dispose](), WAIT_MS);
        try {
          return await what(connection);
        } finally {
          clearTimeout(timer);
        }
      } catch (error) {
        if (error instanceof AgentLostError && attempt < ATTEMPTS) continue;
        const reason = error instanceof Error ? error.message : String(error);
        return this.#log.debug(failure, { reason });
      }
    }
  }

  #connect(): AgentStream {
    const { dialer, reactor } = this.#options;
    try {
      return new ReaderStream(new SocketStream(dialer.connect(this.#socket), reactor));
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      if (error.code === "ENOENT") throw new Deno.errors.NotFound(error.message);
      throw new Deno.errors.ConnectionRefused(error.message);
    }
  }
}

/** A stream of a socket, read into the reader's own buffers. */
class ReaderStream implements AgentStream {
  readonly #stream: SocketStream;
  /** What was received and not read yet. */
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: SocketStream) {
    this.#stream = stream;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      const bytes = await this.#stream.read();
      if (bytes === undefined || bytes === "late") return null;
      this.#rest = bytes;
    }
    const count = Math.min(buffer.length, this.#rest.length);
    buffer.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (await this.#stream.write(bytes)) return bytes.length;
    throw new Deno.errors.BrokenPipe("the other side is gone");
  }

  close(): void {
    this.#stream[Symbol.dispose]();
  }
}
