import { join } from "node:path";
import {
  type AgentConnection,
  AgentLostError,
  connectAgent,
  powerOffGuest,
  setGuestClock,
  VSOCK_SOCKET,
} from "../agent/mod.ts";
import type { Log } from "./log.ts";

/** For how long an agent is waited for: it is of use only now. */
const WAIT_MS = 10_000;
/** How often it is asked again: where a guest goes on from a snapshot, its first connections are reset. */
const ATTEMPTS = 3;

/** What a monitor wants of the agent in its guest. A guest without one does without. */
export class GuestAgent {
  readonly #socket: string;
  readonly #log: Log;

  /** @param runtime the VM's runtime directory */
  constructor(runtime: string, log: Log) {
    this.#socket = join(runtime, VSOCK_SOCKET);
    this.#log = log.for({ component: "agent" });
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
        const connection = await connectAgent(this.#socket, { waitMs: WAIT_MS });
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
}
