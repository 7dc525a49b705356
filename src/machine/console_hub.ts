import { type ConsoleOutput, nowhere } from "./console_output.ts";

/** What a newcomer is shown of the past, in bytes. */
const REPLAY = 65536;
/** What may wait for one viewer, in bytes. */
const LONGEST_QUEUE = 262144;

const TOO_SLOW = new TextEncoder().encode(
  "\r\n[spectrum: this viewer was too slow and is dropped; attach again]\r\n",
);

/** Somebody who watches a console. */
export interface ConsoleViewer {
  /** Takes output; resolves when more may come. The bytes are the viewer's to keep. */
  write(bytes: Uint8Array): Promise<void>;
  /** Called once when the viewer is dropped: it was too slow, or could not be written to, or the console has ended. */
  closed?(): void;
}

/** The right to write to a console; disposing gives it back, and drops what the guest has not begun to take. */
export interface ConsoleInput extends Disposable {
  /** Gives the guest all of the bytes; resolves when it took the last, or will take no more. */
  input(bytes: Uint8Array): Promise<void>;
}

/** A guest's end of a console. */
export interface ConsoleGuest {
  input(bytes: Uint8Array): Promise<void>;
}

/**
 * A VM's console as its users see it: what the guest prints goes to the place that its configuration names, which may
 * hold the guest up, and to any number of viewers, which may not; one of them at a time may write. It outlives the
 * guest's reboots.
 */
export class ConsoleHub implements ConsoleOutput {
  readonly #output: ConsoleOutput;
  readonly #viewers = new Set<Viewer>();
  readonly #past = new Uint8Array(REPLAY);
  /** Bytes ever written; the newest end at this place of the ring. */
  #written = 0;
  #guest: ConsoleGuest | undefined;
  #writer: ConsoleInput | undefined;
  #typing = Promise.resolve();

  /** @param output where output goes whoever watches; the hub disposes of it */
  constructor(output: ConsoleOutput = nowhere) {
    this.#output = output;
  }

  /** The guest that is written to; undefined between two of its boots, when input is dropped. */
  set guest(guest: ConsoleGuest | undefined) {
    this.#guest = guest;
  }

  /** Takes output of the guest; resolves when the configured place has it. The bytes stay the caller's. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#remember(bytes);
    if (this.#viewers.size > 0) {
      const copy = bytes.slice();
      for (const viewer of this.#viewers) viewer.show(copy);
    }
    await this.#output.write(bytes);
  }

  /**
   * Shows the console to a viewer until the result is disposed of.
   *
   * @param options.replay first what was printed last, up to 64 KiB; the default
   */
  attach(viewer: ConsoleViewer, { replay = true }: { replay?: boolean } = {}): Disposable {
    const attached = new Viewer(viewer, () => this.#viewers.delete(attached));
    this.#viewers.add(attached);
    if (replay && this.#written > 0) attached.show(this.#replay());
    return { [Symbol.dispose]: () => void this.#viewers.delete(attached) };
  }

  /** Takes the right to write; undefined when somebody has it. */
  takeInput(): ConsoleInput | undefined {
    if (this.#writer !== undefined) return undefined;
    const writer: ConsoleInput = {
      input: (bytes) => {
        if (this.#writer !== writer) return Promise.resolve();
        return this.#typing = this.#typing.then(() =>
          // What a writer leaves behind that went before the guest took it is not its successor's to wait for.
          this.#writer === writer ? this.#guest?.input(bytes) : undefined
        );
      },
      [Symbol.dispose]: () => {
        if (this.#writer === writer) this.#writer = undefined;
      },
    };
    return this.#writer = writer;
  }

  #remember(bytes: Uint8Array): void {
    const kept = bytes.subarray(Math.max(0, bytes.length - REPLAY));
    const at = (this.#written + bytes.length - kept.length) % REPLAY;
    const first = kept.subarray(0, REPLAY - at);
    this.#past.set(first, at);
    this.#past.set(kept.subarray(first.length), 0);
    this.#written += bytes.length;
  }

  #replay(): Uint8Array {
    if (this.#written <= REPLAY) return this.#past.slice(0, this.#written);
    const at = this.#written % REPLAY;
    const past = new Uint8Array(REPLAY);
    past.set(this.#past.subarray(at));
    past.set(this.#past.subarray(0, at), REPLAY - at);
    return past;
  }

  /** Drops all viewers and closes the configured place. */
  [Symbol.dispose](): void {
    for (const viewer of [...this.#viewers]) viewer.end();
    this.#output[Symbol.dispose]();
  }
}

/** One viewer's queue. */
class Viewer {
  readonly #viewer: ConsoleViewer;
  readonly #remove: () => void;
  #queue: Uint8Array[] = [];
  #waiting = 0;
  #writing = false;
  #ending = false;

  constructor(viewer: ConsoleViewer, remove: () => void) {
    this.#viewer = viewer;
    this.#remove = remove;
  }

  show(bytes: Uint8Array): void {
    if (this.#ending) return;
    this.#queue.push(bytes);
    this.#waiting += bytes.length;
    if (this.#waiting > LONGEST_QUEUE) {
      this.#queue = [TOO_SLOW];
      this.end();
    }
    if (!this.#writing) void this.#write();
  }

  /** No more output; what waits is still written. */
  end(): void {
    this.#ending = true;
    this.#remove();
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      for (let bytes; (bytes = this.#queue.shift()) !== undefined;) {
        await this.#viewer.write(bytes);
        this.#waiting -= bytes.length;
      }
    } catch {
      // It is the viewer's loss.
      this.#queue = [];
      this.#ending = true;
      this.#remove();
    }
    this.#writing = false;
    if (this.#ending) this.#viewer.closed?.();
  }
}
