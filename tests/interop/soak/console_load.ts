import {
  Errno,
  type Fd,
  openFile,
  type Owned,
  pipe,
  read,
  setNonBlocking,
  socketPair,
  truncate,
  write,
} from "../../../src/os/mod.ts";
import { ConsoleConfig, Feature } from "../../../src/virtio/mod.ts";
import type { DrivenDevice } from "./driven_device.ts";
import { below, count, type Load, pause, stamped } from "./load.ts";

const RECEIVE = 0;
const TRANSMIT = 1;
const LINE = 3000;
const LINES = 24;
const ROUNDS = 5;

/** What the console is connected to. */
type Kind = "pipes" | "a socket" | "a file";
const kinds: readonly Kind[] = ["pipes", "a socket", "a file"];

/** The host's ends: where it types, and what it reads. */
interface Ends {
  readonly kind: Kind;
  readonly typed?: Owned<Fd>;
  readonly shown?: Owned<Fd>;
  /** The worker's. */
  readonly input?: Owned<Fd>;
  readonly output: Owned<Fd>;
}

/** A guest that writes and reads, and a host that reads, types, and goes. */
export class ConsoleLoad implements Load {
  readonly features = Feature.Version1 | Feature.IndirectDesc;
  readonly configSize = ConsoleConfig.size;
  readonly queues = 2;
  readonly counts = {};
  readonly #file: string;
  #ends: Ends | undefined;
  #isGone = false;
  #workers = 0;
  #number = 0;

  /** @param folder for output to a file */
  constructor(folder: string) {
    this.#file = `${folder}/console.txt`;
  }

  device() {
    this.#close();
    this.#isGone = false;
    const { input, output } = this.#ends = this.#open(kinds[this.#workers++ % kinds.length]);
    return { kind: "console", input: input?.borrow(), output: output.borrow() } as const;
  }

  #open(kind: Kind): Ends {
    if (kind === "a file") {
      const output = openFile(this.#file, { write: true, create: true, append: true });
      truncate(output, 0);
      return { kind, output };
    }
    if (kind === "a socket") {
      const [ours, theirs] = socketPair();
      setNonBlocking(ours, true);
      return { kind, typed: ours, shown: ours, input: theirs, output: theirs };
    }
    const [input, typed] = pipe();
    const [shown, output] = pipe();
    setNonBlocking(shown, true);
    return { kind, typed, shown, input, output };
  }

  /** Nobody reads what a former driver has left. */
  begin(): void {
    if (this.#isGone) this.#hangUp();
  }

  async round(device: DrivenDevice): Promise<void> {
    for (let i = 0; i < ROUNDS; i++) {
      await Promise.all([this.#show(device), this.#type(device)]);
    }
    // The peer goes for good, now and then: what the guest writes then is dropped.
    if (!this.#isGone && below(20) === 0) {
      this.#hangUp();
      count(this, "peers that went");
    }
  }

  async #show({ queues }: DrivenDevice): Promise<void> {
    const queue = queues[TRANSMIT];
    queue.driver.freePlaces();
    const text = stamped(++this.#number, LINES * LINE);
    const lines = Array.from({ length: LINES }, (_, i) => text.slice(i * LINE, (i + 1) * LINE));
    const all = Promise.all(
      lines.map((line) => queue.request([line.subarray(0, 7), line.subarray(7)])),
    );
    queue.kick();
    await Promise.all([all, this.#expect(text)]);
    count(this, "bytes shown", text.length);
  }

  async #expect(text: Uint8Array): Promise<void> {
    const { shown } = this.#ends ?? {};
    if (shown === undefined || this.#isGone) return;
    const buffer = new Uint8Array(65536);
    for (let at = 0; at < text.length;) {
      const length = read(shown, buffer.subarray(0, text.length - at));
      if (length === -Errno.EAGAIN) {
        await pause(1);
        continue;
      }
      if (length <= 0) throw new Error(`The console's output ends with ${length}`);
      if (buffer.subarray(0, length).some((byte, i) => byte !== text[at + i])) {
        throw new Error("The console shows something else");
      }
      at += length;
    }
  }

  async #type({ queues }: DrivenDevice): Promise<void> {
    const { typed } = this.#ends ?? {};
    if (typed === undefined || this.#isGone) return;
    const queue = queues[RECEIVE];
    const text = stamped(++this.#number, 2000);
    let at = 0;
    write(typed, text);
    while (at < text.length) {
      queue.driver.freePlaces();
      const asked = queue.request([16, 1 + below(700)]);
      queue.kick();
      const { written, data: [first, second] } = await asked;
      const found = [...first, ...second].slice(0, written);
      if (written === 0 || found.some((byte, i) => byte !== text[at + i])) {
        throw new Error("The guest reads something else than was typed");
      }
      at += written;
    }
    count(this, "bytes typed", text.length);
  }

  #hangUp(): void {
    this.#isGone = true;
    this.#ends?.typed?.[Symbol.dispose]();
    this.#ends?.shown?.[Symbol.dispose]();
  }

  /** Output that nobody reads. */
  leave({ queues }: DrivenDevice): void {
    const queue = queues[TRANSMIT];
    queue.driver.freePlaces();
    this.#isGone = true;
    for (let i = 0; i < LINES; i++) void queue.request([new Uint8Array(20_000)]);
    queue.kick();
  }

  #close(): void {
    for (const end of ["typed", "shown", "input", "output"] as const) {
      this.#ends?.[end]?.[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}
