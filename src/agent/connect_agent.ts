import { AgentError, AgentLostError } from "./agent_error.ts";
import { AgentConnection, type AgentSocket } from "./connection.ts";

/** Time between attempts, in milliseconds. */
const PAUSE_MS = 200;
/** After which `onWait` is told. */
const WAIT_SAID_MS = 1000;

/**
 * How a guest's agent is waited for.
 *
 * @example
 * ```ts
 * const wait: AgentWait = { waitMs: 60_000, onWait: () => console.error("The guest still boots.") };
 * ```
 */
export interface AgentWait {
  /** For how long an agent that does not answer yet is waited for, in milliseconds; 30 seconds by default. */
  readonly waitMs?: number;
  /** Is told once when it takes longer than a moment. */
  readonly onWait?: () => void;
}

/** How an agent is reached. */
export interface ConnectOptions extends AgentWait {
  /** Whether it is worth waiting on; looked at between attempts. */
  readonly alive?: () => boolean;
}

/**
 * Connects to a guest's agent, and waits for one that is not there yet: the guest may only be starting.
 *
 * @throws {AgentError} when there is none in time
 */
export async function connectAgent(
  socket: AgentSocket,
  { waitMs = 30_000, onWait = () => {}, alive = () => true }: ConnectOptions = {},
): Promise<AgentConnection> {
  const end = AbortSignal.timeout(waitMs);
  const said = setTimeout(onWait, WAIT_SAID_MS);
  try {
    for (;;) {
      try {
        return await AgentConnection.open(socket, end);
      } catch (error) {
        if (end.aborted) throw silent(waitMs, error);
        if (error instanceof Deno.errors.NotFound) throw noDevice(error);
        const mayCome = error instanceof AgentLostError ||
          error instanceof Deno.errors.ConnectionRefused;
        if (!mayCome) throw error;
        if (!alive()) throw new AgentError("The VM has ended.", 125, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (end.aborted) throw silent(waitMs, end.reason);
    }
  } finally {
    clearTimeout(said);
  }
}

function silent(waitMs: number, cause: unknown): AgentError {
  return new AgentError(
    `No agent answered in the guest within ${
      waitMs / 1000
    } s. It may still be starting, or have no agent: ` +
      "see docs/exec.md for how to install one.",
    125,
    { cause },
  );
}

function noDevice(cause: unknown): AgentError {
  return new AgentError(
    "The VM has no vsock device, through which its agent is reached. Add [vsock] to its file.",
    125,
    { cause },
  );
}
