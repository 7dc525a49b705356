import type { Fd, Owned, Reactor } from "../os/mod.ts";
import { Frontend, type Negotiated } from "../vhost/mod.ts";
import type { DeviceParts } from "./device_parts.ts";
import { MachineError } from "./outcome.ts";

/** How long a backend may take until its first answer, in milliseconds. */
const START_TIMEOUT = 30_000;
/** A process of ours may be slow to start where many do at once, and on a busy host; what ends is seen to end. */
const WORKER_START_TIMEOUT = 120_000;

/** A backend's connection and what it offered, before there is a machine to put it into. */
export interface ConnectedDevice extends DeviceParts {
  readonly frontend: Frontend;
  readonly offer: Negotiated;
}

/**
 * Connects a device's backend and settles what it offers.
 *
 * @param signal ends the wait for it
 * @param stretch how many times as long as usual it may take
 * @throws {MachineError} when it ends, hangs or speaks nonsense already here
 */
export async function connectDevice(
  parts: DeviceParts,
  reactor: Reactor,
  signal?: AbortSignal,
  stretch = 1,
): Promise<ConnectedDevice> {
  const { name, backend } = parts;
  let frontend: Frontend | undefined;
  const abort = () => {
    if (frontend === undefined) backend.kill();
    else frontend[Symbol.dispose]();
    backend.abandon?.();
  };
  signal?.throwIfAborted();
  signal?.addEventListener("abort", abort);
  try {
    frontend = newFrontend(await backend.connect(), parts, reactor, stretch);
    if (signal?.aborted) abort();
    return { ...parts, frontend, offer: await frontend.negotiate() };
  } catch (error) {
    frontend?.[Symbol.dispose]();
    backend.kill();
    await backend.finish();
    if (frontend === undefined) throw error;
    const reason = backend.failure ?? (error instanceof Error ? error.message : String(error));
    throw new MachineError(
      "internal",
      `The device ${name} cannot start: ${reason}.`,
    );
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function newFrontend(
  fd: Owned<Fd>,
  { name, kind, backend }: DeviceParts,
  reactor: Reactor,
  stretch: number,
): Frontend {
  const startTimeout = backend.kind === "worker" ? WORKER_START_TIMEOUT : START_TIMEOUT;
  return new Frontend(fd, reactor, {
    name,
    // To map gigabytes is quick in a process, and takes a kernel of its own some seconds.
    replyTimeoutMs: backend.kind === "vm" ? START_TIMEOUT : undefined,
    configSize: kind.configSize,
    queueCount: kind.leastQueues,
    hasSharedMemory: kind.sharesMemory,
    addsMemory: kind.doesDirectIo,
    startTimeoutMs: stretch * startTimeout,
  });
}
