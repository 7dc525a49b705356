import type { Reactor } from "../os/mod.ts";
import type { Negotiated } from "../vhost/mod.ts";
import { connectDevice, type ConnectedDevice } from "./connect_device.ts";
import type { DeviceParts } from "./device_parts.ts";

/** Pauses between attempts to reach a backend that died, in milliseconds. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 5000;

/** For whom a backend is looked for. */
export interface SearchOptions {
  readonly device: DeviceParts;
  readonly reactor: Reactor;
  /** Why a backend that offers this cannot serve the device, if it cannot. */
  readonly unfit: (offer: Negotiated) => string | undefined;
  /** Told why an attempt came to nothing. */
  readonly onFailure: (reason: string) => void;
}

/** Looks for a new backend when a device has lost its own. */
export class BackendSearch {
  readonly #options: SearchOptions;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  /** Tries until there is one; undefined when the signal came first. */
  async find(signal: AbortSignal): Promise<ConnectedDevice | undefined> {
    const { device, reactor, unfit, onFailure } = this.#options;
    for (let pause = FIRST_PAUSE;; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      await pauseFor(pause, signal);
      if (signal.aborted) return undefined;
      try {
        const connected = await connectDevice(device, reactor, signal);
        const reason = unfit(connected.offer);
        if (reason === undefined) return connected;
        connected.frontend[Symbol.dispose]();
        onFailure(reason);
      } catch (error) {
        onFailure(error instanceof Error ? error.message : String(error));
      }
    }
  }
}

async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const stop = () => resolve();
  signal.addEventListener("abort", stop);
  if (!signal.aborted) await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", stop);
}
