import type { Reactor } from "../os/mod.ts";
import type { Negotiated } from "../vhost/mod.ts";
import { BackOff } from "./back_off.ts";
import { connectDevice, type ConnectedDevice } from "./connect_device.ts";
import type { DeviceParts } from "./device_parts.ts";

/** For whom a backend is looked for. */
export interface SearchOptions {
  readonly device: DeviceParts;
  readonly reactor: Reactor;
  /** Why a backend that offers this cannot serve the device, if it cannot. */
  readonly unfit?: (offer: Negotiated) => string | undefined;
  /** Told why attempts come to nothing, and what is done next: often at first, then ever more rarely. */
  readonly onFailure: (message: string) => void;
}

/**
 * Looks for a backend for as long as it takes. Attempts follow each other at growing pauses, also when backends come
 * and are soon lost again.
 */
export class BackendSearch {
  readonly #options: SearchOptions;
  readonly #backOff = new BackOff();
  /** Why the last attempt came to nothing. */
  #reason: string | undefined;
  /** Ends the pause. */
  #wake = () => {};

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  /** How it stands, for a person. */
  get outlook(): string {
    const { failures, pause } = this.#backOff;
    const next = `the next attempt is in ${pause < 1000 ? `${pause} ms` : `${pause / 1000} s`}`;
    return failures < 2 ? next : `that was failure ${failures} in a row, ${next}`;
  }

  /** Counts that a backend was lost which had been there for so many milliseconds. */
  lost(worked: number): void {
    this.#reason = undefined;
    this.#backOff.failed(worked);
  }

  /** Tries until there is one; undefined when the signal came first. */
  async find(signal: AbortSignal): Promise<ConnectedDevice | undefined> {
    const { device, reactor, unfit } = this.#options;
    for (;;) {
      await this.#pause(signal);
      if (signal.aborted) return undefined;
      try {
        const connected = await connectDevice(device, reactor, signal, this.#backOff.stretch);
        const reason = unfit?.(connected.offer);
        if (reason === undefined) return connected;
        connected.frontend[Symbol.dispose]();
        this.#failed(reason);
      } catch (error) {
        if (!signal.aborted) this.#failed(error instanceof Error ? error.message : String(error));
      }
    }
  }

  /** Forgets all failures, and tries at once. */
  hurry(): void {
    this.#backOff.forget();
    this.#wake();
  }

  #failed(reason: string): void {
    this.#backOff.failed();
    const { failures } = this.#backOff;
    const rare = (failures & (failures - 1)) !== 0;
    if (rare && reason === this.#reason) return;
    this.#reason = reason;
    this.#options.onFailure(`${reason.replace(/\.$/, "")}; ${this.outlook}`);
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#backOff.pause);
    const wake = this.#wake = () => resolve();
    signal.addEventListener("abort", wake);
    if (!signal.aborted) await promise;
    signal.removeEventListener("abort", wake);
    clearTimeout(timer);
  }
}
