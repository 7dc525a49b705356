import { join } from "node:path";
import { contextIdOf, type ProvidesConfig, stableMac } from "../../config/mod.ts";
import { type Fd, type Owned, type Reactor, socketPair } from "../../os/mod.ts";
import { AsyncPeer, RequestError, SendError, unixTransport } from "../../msg/mod.ts";
import { limited } from "../../vhost/mod.ts";
import { type Dialer, directly } from "../dialer.ts";
import { BackOff } from "../back_off.ts";
import type { Log } from "../log.ts";
import { runtimeBase } from "../runtime_base.ts";
import type { ProvidedInfo } from "../vm_control.ts";
import {
  CONFIG_CONTEXT,
  guestMessages,
  type ProvidedDevice,
  providerMessages,
} from "./guest_messages.ts";
import { connectToUser, deviceSocket, type Provision, whatUserLacks } from "./rendezvous.ts";

/** How often it is looked whether a VM waits for what we provide, in milliseconds. */
const LOOK_MS = 500;
/** Characters of what a guest says that are shown. */
const MOST_SAID = 200;
/** Bytes of its longest message. */
const MOST_BYTES = 65536;
/** A guest that has not brought a device up by then will not, in milliseconds. */
const PATIENCE_MS = 60_000;
/** Queues of a disk whose `[[provides]]` does not say. */
const DEFAULT_QUEUES = 4;

type Guest = AsyncPeer<typeof guestMessages, typeof providerMessages>;

/** What is provided, and how that goes. */
interface Entry {
  readonly config: ProvidesConfig;
  readonly provision: Provision;
  readonly context: string;
  state: ProvidedInfo["state"];
  detail: string;
  readonly backOff: BackOff;
  /** The last attempt at it; what is said of those before counts no more. */
  attempt: number;
  /** When it is tried again, and when it was started, as `performance.now()` says it. */
  notBefore: number;
  since: number;
}

/** Whom {@linkcode Provisions} belong to. */
export interface ProvisionsOptions {
  /** Name of the VM. */
  readonly vm: string;
  readonly reactor: Reactor;
  readonly log: Log;
  /** Where the runtime directories of all VMs are. */
  readonly base?: string;
  readonly dialer?: Dialer;
}

/**
 * The devices that a VM provides to others (`[[provides]]`). Whenever one of those waits for its device, the guest is
 * told to start it, over the context `config`; the device then reaches the other VM by a context of its own.
 */
export class Provisions implements Disposable {
  readonly #entries: readonly Entry[];
  readonly #options: Required<ProvisionsOptions>;
  #warn: (reason: string) => void;
  #guest: Guest | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(provides: readonly ProvidesConfig[], options: ProvisionsOptions) {
    const { base = runtimeBase(), dialer = directly } = options;
    this.#options = { ...options, base, dialer };
    for (const { to, device } of provides) dialer.admit(deviceSocket(join(base, to), device));
    this.#warn = limited((reason) => options.log.warn(reason));
    this.#entries = provides.map((config) => ({
      config,
      provision: { provider: options.vm, user: config.to, device: config.device },
      context: `${config.to}/${config.device}`,
      state: "waiting",
      detail: "the guest starts",
      backOff: new BackOff(),
      attempt: 0,
      notBefore: 0,
      since: 0,
    }));
  }

  /** What is provided, as `VM/DEVICE`. */
  get names(): string[] {
    return this.#entries.map(({ context }) => context);
  }

  get info(): ProvidedInfo[] {
    return this.#entries.map(({ config, state, detail }) => (
      { to: config.to, device: config.device, kind: config.kind, state, detail }
    ));
  }

  /**
   * What the guest opens by a name: undefined when it is none of ours.
   *
   * @throws RequestError `unreachable` when the VM there is not waiting, with the reason
   */
  open(name: string): Owned<Fd> | undefined {
    if (this.#entries.length === 0) return undefined;
    if (name === CONFIG_CONTEXT) return asReachable(name, () => this.#welcome());
    const entry = this.#entries.find(({ context }) => context === name);
    if (entry === undefined) return undefined;
    const { base, dialer } = this.#options;
    const reason = whatUserLacks(entry.provision, base);
    if (reason !== undefined) throw new RequestError("unreachable", `${name}: it ${reason}`);
    return asReachable(name, () => connectToUser(entry.provision, base, dialer));
  }

  /** Asks the guest to power off, if it listens. */
  powerOff(): void {
    try {
      this.#guest?.note("powerOff", null);
    } catch (error) {
      if (!(error instanceof SendError)) throw error;
    }
  }

  /** The guest's end of a conversation with us. A new one ends the one before. */
  #welcome(): Owned<Fd> {
    const [ours, theirs] = socketPair();
    using given = theirs;
    const { reactor, log } = this.#options;
    this.#guest?.[Symbol.dispose]();
    this.#forgetGuest();
    this.#warn = limited((reason) => log.warn(reason));
    let greeted = false;
    const guest: Guest = new AsyncPeer(unixTransport(ours), reactor, {
      calls: guestMessages,
      serves: providerMessages,
      handlers: {
        hello: ({ initMs, runtimeMs, readyMs }) => {
          if (greeted) return;
          greeted = true;
          const [kernel, init, runtime] = [initMs, runtimeMs - initMs, readyMs - runtimeMs].map(
            (milliseconds) => `${(milliseconds / 1000).toFixed(2)} s`,
          );
          log.info("the guest is ready to serve devices", { kernel, init, runtime });
          this.#look();
        },
        ended: ({ context, attempt, how }) => this.#ended(context, attempt, how),
      },
      limit: MOST_BYTES,
      onFault: (error) => this.#warn(messageOf(error)),
      onEnd: () => {
        if (this.#guest === guest) this.#forgetGuest();
      },
    });
    this.#guest = guest;
    return given.move();
  }

  #forgetGuest(): void {
    this.#guest = undefined;
    clearTimeout(this.#timer);
    for (const entry of this.#entries) {
      entry.attempt++;
      entry.state = "waiting";
      entry.detail = "the guest starts";
    }
  }

  /** Starts what is waited for, and looks again as long as there is something that is not served. */
  #look(): void {
    clearTimeout(this.#timer);
    const guest = this.#guest;
    if (guest === undefined) return;
    const now = performance.now();
    for (const entry of this.#entries) {
      if (entry.state === "serving" || entry.state === "starting" || now < entry.notBefore) {
        continue;
      }
      const reason = whatUserLacks(entry.provision, this.#options.base);
      if (reason === undefined) {
        void this.#serve(guest, entry);
      } else {
        entry.state = "waiting";
        entry.detail = reason;
      }
    }
    if (this.#entries.some(({ state }) => state === "waiting" || state === "failed")) {
      this.#timer = setTimeout(() => this.#look(), LOOK_MS);
    }
  }

  async #serve(guest: Guest, entry: Entry): Promise<void> {
    const { config, context } = entry;
    const attempt = ++entry.attempt;
    entry.state = "starting";
    entry.detail = "the guest starts it";
    const began = performance.now();
    try {
      const body = { context, attempt, device: deviceOf(config) };
      const timeoutMs = entry.backOff.stretch * PATIENCE_MS;
      using _answer = await guest.request("serve", body, { timeoutMs });
      // It may have ended already.
      if (entry.attempt !== attempt || (entry.state as string) !== "starting") return;
      entry.state = "serving";
      entry.detail = "";
      entry.since = performance.now();
      const took = `${((entry.since - began) / 1000).toFixed(2)} s`;
      this.#options.log.info(`serves ${config.device} of the VM "${config.to}"`, { took });
    } catch (error) {
      // Else the conversation is over, and its end is told.
      if (entry.attempt === attempt && error instanceof RequestError) {
        this.#fail(entry, error.message);
      }
    }
  }

  #ended(context: string, attempt: number, how: string): void {
    const entry = this.#entries.find((one) => one.context === context);
    if (entry === undefined || entry.attempt !== attempt) return;
    if (how !== "") return this.#fail(entry, how);
    this.#waitAgain(entry, "waiting", "its frontend has gone");
  }

  #fail(entry: Entry, said: string): void {
    // A guest may not drive the terminal that shows it.
    const reason = said.slice(0, MOST_SAID).replaceAll(/\p{Cc}/gu, " ");
    entry.attempt++;
    this.#warn(`${entry.context}: ${reason}`);
    this.#waitAgain(entry, "failed", reason);
  }

  #waitAgain(entry: Entry, state: Entry["state"], detail: string): void {
    const now = performance.now();
    entry.backOff.failed(entry.state === "serving" ? now - entry.since : 0);
    entry.state = state;
    entry.detail = detail;
    entry.notBefore = now + entry.backOff.pause;
    this.#look();
  }

  [Symbol.dispose](): void {
    const guest = this.#guest;
    this.#guest = undefined;
    clearTimeout(this.#timer);
    guest?.[Symbol.dispose]();
  }
}

function deviceOf(config: ProvidesConfig): ProvidedDevice {
  switch (config.kind) {
    case "blk": {
      const { path, readonly, cache, queues = DEFAULT_QUEUES, device } = config;
      return { kind: "blk", path, readonly, cache, queues, serial: device };
    }
    case "rng":
      return { kind: "rng" };
    case "console":
      return { kind: "console", to: config.path };
    case "net": {
      const { interface: name, mac = stableMac(config.to, config.device) } = config;
      return { kind: "net", interface: name, mac };
    }
    case "vsock":
      return { kind: "vsock", cid: config.cid ?? contextIdOf(config.to), path: config.path };
  }
}

function asReachable(name: string, open: () => Owned<Fd>): Owned<Fd> {
  try {
    return open();
  } catch (error) {
    throw new RequestError("unreachable", `${name}: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
