import {
  acceptUnix,
  Errno,
  Events,
  type Fd,
  OsError,
  type Owned,
  Poller,
  pollOne,
  type Window,
} from "../os/mod.ts";
import type { DeviceSource, VirtioDevice } from "../virtio/mod.ts";
import { limited } from "./limited.ts";
import { Backend, type BackendHost, type Link, localLink } from "./backend.ts";

const CONNECTION_TAG = 0;
const KICK_TAG = 1;
const SOURCE_TAG = 0x1_0000;
const CONTROL_TAG = 0xffff_fffe;
const ROUNDS_PER_LOOK = 8;

/** Who else may speak to the process. */
export interface ControlSource {
  readonly fd: Fd;
  /** It is readable. False when it is the end, and nobody is to be served any more. */
  ready(): boolean;
}

/** What a loop needs beside its device. */
export interface DeviceLoopOptions {
  readonly window: Window;
  readonly log: (text: string) => void;
  readonly control?: ControlSource;
  /** What connections with frontends go over; sockets of this machine when left out. */
  readonly link?: Link;
}

/**
 * The main loop of a process that is one device: waits for its frontend, for kicks and for what the
 * device itself waits for, and blocks meanwhile. No request allocates here.
 *
 * @example
 * ```ts
 * import { listenUnix, type VirtioDevice, Window } from "spectrum";
 *
 * function serve(make: (window: Window) => VirtioDevice, socket: string): void {
 *   const window = Window.reserve();
 *   using loop = new DeviceLoop(make(window), { window, log: console.error });
 *   using listening = listenUnix(socket);
 *   loop.serveEach(listening);
 * }
 * ```
 */
export class DeviceLoop implements Disposable {
  readonly #poller = new Poller();
  readonly #host: BackendHost;

  readonly #control: ControlSource | undefined;
  #isOver = false;

  constructor(
    private readonly device: VirtioDevice,
    { window, log, control, link = localLink }: DeviceLoopOptions,
  ) {
    this.#host = { window, log, link, poller: this.#poller, kickTag: KICK_TAG };
    this.#control = control;
    if (control !== undefined) this.#poller.add(control.fd, CONTROL_TAG);
    for (const [i, source] of (device.sources ?? []).entries()) this.#watch(i, source);
  }

  /** Serves one frontend until it hangs up, or it is the end, or breaks the protocol: then the answer is false. */
  serve(connection: Owned<Fd>): boolean {
    // A frontend can make us complain as often as it likes.
    const host = { ...this.#host, log: limited(this.#host.log) };
    using backend = new Backend(connection, this.device, host);
    const poller = this.#poller;
    poller.add(backend.fd, CONNECTION_TAG);
    let busy = false;
    for (let round = 0;; round++) {
      // While queues are busy, a look at everything else is worth its system call only now and then.
      const delay = busy ? 0 : this.device.delay ?? -1;
      const count = busy && round % ROUNDS_PER_LOOK !== 0 ? 0 : poller.wait(delay);
      if (!busy && delay >= 0 && (delay === 0 || count === 0)) backend.wake();
      for (let i = 0; i < count; i++) {
        const tag = poller.tag(i);
        if (tag === CONTROL_TAG) {
          if (!this.#listen()) return true;
          // What was said may be for the device.
          backend.wake();
        } else if (tag >= SOURCE_TAG) {
          this.#ready(tag - SOURCE_TAG);
          backend.wake();
        } else if (tag >= KICK_TAG) {
          backend.kicked(tag - KICK_TAG);
        } else if (!backend.receive()) {
          return !backend.isBroken;
        }
      }
      busy = backend.run();
    }
  }

  /** Serves one frontend after the other; returns when it is the end, which only a control source brings. */
  serveEach(listener: Fd): void {
    // Not the poller of the loop: what happens to the device's sources meanwhile is not to be lost.
    using waiting = new Poller();
    waiting.add(listener, CONNECTION_TAG);
    if (this.#control !== undefined) waiting.add(this.#control.fd, CONTROL_TAG);
    while (!this.#isOver) {
      for (let count = waiting.wait(-1), i = 0; i < count; i++) {
        if (waiting.tag(i) === CONTROL_TAG) {
          if (!this.#listen()) return;
        } else if (pollOne(listener, Events.In, 0) > 0) {
          // Whether the listener blocks is not for us to know.
          const connection = acceptUnix(listener);
          if (connection !== undefined) this.serve(connection);
          // What the waiting found belongs to the thread's last wait, which was another one.
          break;
        }
      }
    }
  }

  #listen(): boolean {
    if (this.#control?.ready() === false) this.#isOver = true;
    return !this.#isOver;
  }

  /** Edge-triggered: a device may leave input where it is until its driver has room for it. */
  #watch(index: number, { fd, writable }: DeviceSource): void {
    const events = (writable === true ? Events.Out : Events.In) | Events.EdgeTriggered;
    try {
      this.#poller.add(fd, SOURCE_TAG + index, events);
    } catch (error) {
      // A plain file is always ready and cannot be waited for.
      if (!(error instanceof OsError) || error.errno !== Errno.EPERM) throw error;
      this.#ready(index);
    }
  }

  #ready(index: number): void {
    this.device.sources?.[index]?.ready();
  }

  [Symbol.dispose](): void {
    this.#poller[Symbol.dispose]();
  }
}
