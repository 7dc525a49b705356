import { EventFd, memfd, type Window } from "../../../src/os/mod.ts";
import {
  DescriptorChain,
  DeviceId,
  type SharedMemoryMapper,
  type VirtioDevice,
  type Virtqueue,
  WL_HOST_ID,
  WL_IN_BUFFER,
  WlCommand,
  WlFeature,
  WlFlag,
  WlNew,
  WlNewNamed,
  WlResponse,
  WlTransfer,
} from "../../../src/virtio/mod.ts";

const IN = 0;
const REGION = 2 ** 26;
const SLOT = 2 ** 21;
const SLOTS = 24;
const SEGMENTS = 512;
/** Answers that are kept back, so that others overtake them. */
const HELD = 24;
/** Ids that are remembered, to speak of them again. */
const KNOWN = 64;
/** One answer in so many is for another command, or none, which breaks the ring; that takes the driver a second. */
const BROKEN_RING = 5000;
/** After so many lies a word is said. */
const MANY_LIES = 50_000;

/** Everything that can be said, and more. */
const TYPES = [...Object.values(WlCommand), ...Object.values(WlResponse), 0, 0x1006, 0xffff_ffff];
const FLAGS = [0, 1, 2, 3, 4, 7, 0x100, 0x103, 0xffff_ffff];

/** How much a device lies. */
export interface HostileOptions {
  /** When so many lies were told, it only says the truth: the context "calm" opens then. */
  readonly enough: number;
  readonly seed: number;
  readonly log: (text: string) => void;
  /** By default all. */
  readonly features?: bigint;
  /** Whether it answers what was not asked, which makes the driver set it up anew; by default it does. */
  readonly breaksRings?: boolean;
}

/**
 * A device that answers a driver with whatever comes to its mind: half of it right, the rest changed at random in type, id,
 * place, size, length or order; and sends it messages of the same kind.
 */
export class HostileWl implements VirtioDevice {
  readonly id = DeviceId.Wl;
  readonly features: bigint;
  readonly queueCount = 2;
  readonly config = new Uint8Array(0);
  readonly sharedMemory = [REGION];
  readonly sources;

  /** Things that were said and were not right. */
  lies = 0;
  readonly #window: Window;
  readonly #enough: number;
  readonly #log: (text: string) => void;
  readonly #breaksRings: boolean;
  readonly #again = EventFd.create();
  readonly #known: number[] = [1];
  readonly #announced: number[] = [];
  readonly #held: { chain: DescriptorChain; bytes: Uint8Array; written: number }[] = [];
  readonly #command = new Uint8Array(64);
  #out: Virtqueue | undefined;
  #chain = new DescriptorChain(SEGMENTS);
  #lastHostId = 0;
  #state: number;

  constructor(window: Window, { enough, seed, log, features, breaksRings = true }: HostileOptions) {
    this.#window = window;
    this.#log = log;
    this.#enough = enough;
    this.#state = seed | 1;
    this.#breaksRings = breaksRings;
    this.features = features ?? WlFeature.TransFlags | WlFeature.UseShmem | WlFeature.Size64 |
        WlFeature.Events | WlFeature.Credit | WlFeature.ShowOnce;
    this.sources = [{ fd: this.#again.fd, ready: () => void this.#again.drain() }];
  }

  attach(mapper: SharedMemoryMapper | undefined): void {
    using memory = memfd("hostile", SLOT);
    const what = { fdOffset: 0, length: SLOT, writable: true };
    for (let slot = 1; slot <= SLOTS; slot++) mapper?.map(0, slot * SLOT, memory, what);
  }

  reset(): void {
    this.#held.length = this.#announced.length = 0;
  }

  settle(): void {
    this.#held.length = 0;
    this.#out = undefined;
  }

  process(queue: Virtqueue): void {
    if (queue.index === IN) return this.#talk(queue);
    this.#out = queue;
    while (queue.next(this.#chain)) {
      const { bytes, written } = this.#answer(this.#read());
      this.#held.push({ chain: this.#chain, bytes, written });
      this.#chain = new DescriptorChain(SEGMENTS);
    }
    while (this.#held.length > 0 && (this.#held.length > HELD || this.#below(8) > 0)) {
      const at = this.#below(this.#held.length);
      const [{ chain, bytes, written }] = this.#held.splice(at, 1);
      this.#write(chain, bytes);
      if (this.#lying && this.#breaksRings && this.#below(BROKEN_RING) === 0) {
        chain.head = this.#below(queue.size);
      }
      queue.complete(chain, written);
    }
    if (this.#held.length > 0 || this.#below(2) === 0) this.#again.signal();
  }

  get #lying(): boolean {
    return this.lies < this.#enough;
  }

  /** The beginning of the command in the chain. */
  #read(): Uint8Array {
    const command = this.#command.fill(0), chain = this.#chain;
    for (let i = 0, done = 0; i < chain.readableCount && done < command.length; i++) {
      const length = Math.min(chain.lengths[i], command.length - done);
      command.set(this.#window.bytes(chain.offsets[i], length), done);
      done += length;
    }
    return command;
  }

  #write(chain: DescriptorChain, bytes: Uint8Array): void {
    for (let i = chain.readableCount, done = 0; i < chain.count && done < bytes.length; i++) {
      const length = Math.min(chain.lengths[i], bytes.length - done);
      this.#window.bytes(chain.offsets[i], length).set(bytes.subarray(done, done + length));
      done += length;
    }
  }

  #answer(command: Uint8Array): { bytes: Uint8Array; written: number } {
    const { type, id, flags, size } = WlNew.decode(command);
    const { name } = WlNewNamed.decode(command);
    if (type === WlCommand.NewNamedContext && String.fromCharCode(...name).startsWith("calm\0")) {
      const answer = this.#lying ? WlResponse.Error : WlResponse.New;
      const bytes = WlNew.encode({ type: answer, id, flags });
      return { bytes, written: bytes.length };
    }
    if (type === WlCommand.Close) this.#forget(id);
    const isNew = type === WlCommand.New ||
      type >= WlCommand.NewContext && type <= WlCommand.NewPipe ||
      type === WlCommand.NewNamedContext || type === WlCommand.NewEvent;
    if (isNew) this.#remember(id);
    const bytes = WlNew.encode({
      type: isNew ? WlResponse.New : WlResponse.Ok,
      id,
      flags,
      page: type === WlCommand.New ? this.#page() : 0,
      size,
    });
    return this.#changed(bytes, isNew ? bytes.length : 8);
  }

  /** Where memory is. */
  #page(): number {
    return (1 + this.#below(SLOTS)) * SLOT / 4096;
  }

  /** Says some things that nobody has asked for. */
  #talk(queue: Virtqueue): void {
    if (!this.#lying) return;
    const chain = new DescriptorChain(SEGMENTS);
    const most = this.#below(4) === 0 ? 64 : 6;
    for (let count = this.#below(most); count > 0 && queue.next(chain); count--) {
      const message = this.#message();
      const { bytes, written } = this.#changed(message, message.length);
      this.#write(chain, bytes);
      queue.complete(chain, written);
    }
  }

  #message(): Uint8Array {
    const kind = this.#below(100);
    if (kind < 30) return this.#announcement();
    if (kind < 95) return this.#data();
    if (kind < 98) {
      return WlTransfer.encode({ type: WlCommand.HangUp, id: this.#someId() }).subarray(0, 12);
    }
    const garbage = new Uint8Array(this.#below(WL_IN_BUFFER));
    for (let i = 0; i < garbage.length; i++) garbage[i] = this.#below(256);
    return garbage;
  }

  #announcement(): Uint8Array {
    this.#lastHostId = (this.#lastHostId + 1) % 4096;
    const id = WL_HOST_ID | this.#lastHostId;
    this.#announced.push(id);
    const isMemory = this.#below(3) === 0;
    return WlNew.encode({
      type: WlCommand.New,
      id,
      flags: isMemory ? this.#of([WlFlag.Read, 3]) : this.#of([1, 2, 3, 0x103]),
      page: isMemory ? this.#page() : 0,
      size: isMemory ? 1 + this.#below(SLOT) : 0,
    });
  }

  #data(): Uint8Array {
    const ids: number[] = [];
    while (this.#below(3) === 0 && this.#announced.length > 0 && ids.length < 28) {
      ids.push(this.#announced.splice(this.#below(this.#announced.length), 1)[0]);
    }
    for (const id of ids) this.#remember(id);
    const room = WL_IN_BUFFER - WlTransfer.size - 4 * ids.length;
    const size = this.#of([0, 1, 8, 8, this.#below(room), room]);
    const bytes = new Uint8Array(WlTransfer.size + 4 * ids.length + size);
    const head = { type: WlCommand.Receive, id: this.#someId(), count: ids.length };
    bytes.set(WlTransfer.encode(head));
    bytes.set(new Uint8Array(Uint32Array.from(ids).buffer), WlTransfer.size);
    return bytes;
  }

  /** The same, or changed here and there. */
  #changed(bytes: Uint8Array, length: number): { bytes: Uint8Array; written: number } {
    if (!this.#lying || this.#below(2) === 0) return { bytes, written: length };
    if (++this.lies % MANY_LIES === 0) this.#log(`${this.lies} lies are told`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const set = (at: number, value: number) => {
      if (bytes.length >= at + 4) view.setUint32(at, value, true);
    };
    switch (this.#below(9)) {
      case 0:
        set(0, this.#of(TYPES));
        break;
      case 1:
        set(8, this.#of([0, this.#someId(), this.#of(this.#announced), this.#word()]));
        break;
      case 2:
        set(12, this.#of([...FLAGS, this.#below(40), this.#word()]));
        break;
      case 3:
        set(
          16,
          this.#of([0, 1, 511, REGION / 4096, REGION / 4096 - 1, this.#page(), this.#word()]),
        );
        break;
      case 4:
        set(20, this.#of([1, 0xfffff, this.#word()]));
        break;
      case 5:
        set(24, this.#of([0, 1, 4097, SLOT + 1, REGION, 0xffff_ffff, this.#word()]));
        break;
      case 6:
        set(28, this.#of([1, 0xffff_ffff, this.#word()]));
        break;
      case 7:
        length = this.#of([0, 7, 8, 12, 27, 28, 31, 64, 4096, 4097, 0xffff_ffff, this.#below(64)]);
        break;
      default:
        for (let i = 1 + this.#below(8); i > 0; i--) {
          bytes[this.#below(bytes.length)] = this.#below(256);
        }
    }
    return { bytes, written: length };
  }

  #remember(id: number): void {
    this.#known.push(id);
    if (this.#known.length > KNOWN) this.#known.shift();
  }

  #forget(id: number): void {
    const at = this.#known.indexOf(id);
    if (at >= 0 && this.#below(4) > 0) this.#known.splice(at, 1);
  }

  #someId(): number {
    return this.#of(this.#known);
  }

  #of(choices: readonly number[]): number {
    return choices[this.#below(choices.length)] ?? 0;
  }

  #below(limit: number): number {
    return this.#word() % limit;
  }

  /** xorshift32 */
  #word(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
}
