/** For tests: a device with a driver in memory of the window, without a transport. */

import { Errno, Events, openFile, OsError, Poller, truncate, Window } from "../os/mod.ts";
import {
  MockDriver,
  type VirtioDevice,
  type Virtqueue,
  type VirtqueueOptions,
} from "../virtio/mod.ts";

export {
  credit,
  type Message,
  newNamed,
  newVfd,
  note,
  parse,
  send,
  typeOf,
} from "./wl/messages_testing.ts";

const MEMORY = 2 ** 22;

/** The window of this process. */
export const window: Window = Window.reserve(2 ** 36);

/** Guest memory in the window, with queues of one device in it. */
export class DeviceBench implements Disposable {
  readonly #base = window.allocate(MEMORY);
  readonly #poller = new Poller();
  readonly #queues: Virtqueue[] = [];

  constructor(readonly device: VirtioDevice) {
    window.mapAnonymous(this.#base, MEMORY);
    for (const [i, source] of (device.sources ?? []).entries()) {
      try {
        this.#poller.add(source.fd, i, source.writable === true ? Events.Out : Events.In);
      } catch (error) {
        // A plain file is always ready.
        if (!(error instanceof OsError) || error.errno !== Errno.EPERM) throw error;
      }
    }
  }

  /** A driver of one queue, whose memory begins at `from`, and whose rings stand at `start`; give each its own. */
  driver(
    index = 0,
    from = 0,
    size = 64,
    options: Partial<VirtqueueOptions> = {},
    start = 0,
  ): MockDriver {
    const driver = new MockDriver(size, {
      buffer: window.buffer,
      base: this.#base,
      memoryBytes: MEMORY,
      from,
      start,
    });
    this.#queues[index] = driver.queue({ index, ...options });
    return driver;
  }

  /** Another queue on the rings of a driver, as after a predecessor of the device. */
  restart(driver: MockDriver, index: number, options: Partial<VirtqueueOptions>): void {
    this.#queues[index] = driver.queue({ index, ...options });
  }

  queue(index = 0): Virtqueue {
    return this.#queues[index];
  }

  /** A round of each queue, and more as long as the device wants that. */
  round(): void {
    do this.#round(); while (this.device.goesOn?.() === true);
  }

  #round(): void {
    for (let i = 0; i < this.#queues.length; i++) {
      const queue = this.#queues[i];
      if (queue === undefined) continue;
      do {
        queue.beginRound();
        this.device.process(queue);
      } while (queue.endRound());
    }
  }

  /** Rounds and events until the device has completed so many chains. */
  until(driver: MockDriver, usedIndex: number): void {
    for (let i = 0; i < 1000 && driver.usedIndex !== (usedIndex & 0xffff); i++) {
      this.round();
      if (driver.usedIndex === (usedIndex & 0xffff)) return;
      this.listen(50);
    }
    this.round();
  }

  /** Tells the device what happens to its sources within a time. */
  listen(timeoutMs = 0): void {
    for (let n = this.#poller.wait(timeoutMs), k = 0; k < n; k++) {
      this.device.sources?.[this.#poller.tag(k)]?.ready();
    }
  }

  /** Forgets a queue, as when it is stopped. */
  stop(index: number): void {
    delete this.#queues[index];
  }

  [Symbol.dispose](): void {
    this.device.settle?.();
    this.#poller[Symbol.dispose]();
    window.free(this.#base, MEMORY);
  }
}

/** A file of known size that is gone when it is disposed. */
export class ScratchFile implements Disposable {
  readonly #folder: string;
  readonly path: string;

  /** @param where a folder of the wanted file system */
  constructor(readonly size: number, where?: string) {
    this.#folder = Deno.makeTempDirSync({ prefix: "spectrum-test-", dir: where });
    this.path = `${this.#folder}/disk.img`;
    using fd = openFile(this.path, { write: true, create: true });
    truncate(fd, size);
  }

  /** Fills it so that every 8 bytes differ. */
  fill(): void {
    const words = new Float64Array(this.size / 8).map((_, i) => i + 1);
    Deno.writeFileSync(this.path, new Uint8Array(words.buffer));
  }

  bytes(offset: number, length: number): Uint8Array {
    return Deno.readFileSync(this.path).slice(offset, offset + length);
  }

  /** Bytes that it occupies. */
  get allocated(): number {
    return (Deno.statSync(this.path).blocks ?? 0) * 512;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

/** Where files of disks are: /tmp may be memory, which older kernels cannot open directly. */
export const DISK_FOLDER = "/var/tmp";

/** Whether files there can be opened past the page cache. */
export function canOpenDirectly(): boolean {
  using file = new ScratchFile(4096, DISK_FOLDER);
  try {
    using _fd = openFile(file.path, { direct: true });
    return true;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return false;
  }
}
