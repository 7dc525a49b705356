/** For tests: the driver side of Virtio Wayland, and a host that its contexts lead to. */

import assert from "node:assert/strict";
import { type Fd, fdKind, fileStat, type Owned, socketPair } from "../../os/mod.ts";
import {
  DescFlag,
  type MockDriver,
  type SharedMemoryMapper,
  WlCommand,
  WlFeature,
} from "../../virtio/mod.ts";
import { DeviceBench, window } from "../testing.ts";
import { type Message, newNamed, newVfd, note, parse, send, typeOf } from "./messages_testing.ts";
import { type DoorbellDirection, type DoorbellFunction, WlDevice, type WlOptions } from "./mod.ts";

export {
  credit,
  doorbell,
  type Message,
  newNamed,
  newVfd,
  note,
  parse,
  send,
  typeOf,
} from "./messages_testing.ts";

export const ALL_FEATURES = WlFeature.TransFlags | WlFeature.UseShmem | WlFeature.Size64 |
  WlFeature.Events | WlFeature.Credit;

const IN = 0;
const OUT = 1;
const QUEUE_SIZE = 256;
const IN_BUFFER = 4096;
/** In buffers that there can be. */
const IN_BUFFERS = 128;
const ANSWER = 64;
/** Commands under way that there can be, each up to this long; the last one may be a long one. */
const COMMANDS = 64;
const COMMAND = 16384;
const LONG_COMMAND = 600_000;

/** Notes what would be mapped. */
export class FakeMapper implements SharedMemoryMapper {
  readonly mapped = new Map<number, { length: number; writable: boolean; size: number }>();
  refuses = false;

  map(
    region: number,
    offset: number,
    fd: Fd,
    what: { fdOffset: number; length: number; writable: boolean },
  ): boolean {
    assert.equal(region, 0);
    assert.equal(what.fdOffset, 0);
    assert.ok(!this.mapped.has(offset));
    if (this.refuses) return false;
    const { length, writable } = what;
    this.mapped.set(offset, { length, writable, size: fileStat(fd).size });
    return true;
  }

  unmap(_region: number, offset: number, length: number): boolean {
    assert.equal(this.mapped.get(offset)?.length, length);
    return this.mapped.delete(offset);
  }
}

/** Notes what would be bound. */
export class FakeDoorbells implements DoorbellFunction {
  readonly slots = 4;
  readonly bound = new Map<number, DoorbellDirection>();
  readonly asked: number[] = [];
  readonly freed: number[] = [];
  outcome: "bound" | "refused" | "unknown" = "bound";
  /** Called with what is to be bound. */
  look: (event: Fd) => void = () => {};

  bind(slot: number, event: Fd, direction: DoorbellDirection): "bound" | "refused" | "unknown" {
    assert.ok(slot < this.slots && !this.bound.has(slot));
    assert.equal(fdKind(event), "event");
    this.asked.push(slot);
    this.look(event);
    if (this.outcome !== "refused") this.bound.set(slot, direction);
    return this.outcome;
  }

  unbind(slot: number): void {
    this.freed.push(slot);
    assert.ok(this.bound.delete(slot));
  }
}

export interface GuestOptions extends Partial<WlOptions> {
  readonly features?: bigint;
  /** In buffers that the driver has; 64 when left out. */
  readonly buffers?: number;
  readonly unattached?: boolean;
}

/** A guest with the device. Contexts to `wayland` and `test` reach {@link Guest.hosts}. */
export class Guest implements Disposable {
  readonly device: WlDevice;
  readonly bench: DeviceBench;
  readonly mapper = new FakeMapper();
  readonly log: string[] = [];
  /** The names that were asked for. */
  readonly names: string[] = [];
  /** The host's ends of contexts, the latest last. */
  readonly hosts: Owned<Fd>[] = [];
  /** Answers that nobody has taken yet, by the command's slot. */
  readonly answers = new Map<number, Uint8Array>();
  in: MockDriver;
  out: MockDriver;
  readonly #features: bigint;
  readonly #freeIn: number[] = [];
  readonly #freeOut: number[] = [];
  #nextId = 0;

  constructor(options: GuestOptions = {}) {
    const { features = ALL_FEATURES, buffers = 64, unattached = false, ...rest } = options;
    this.#features = features;
    this.device = new WlDevice(window, {
      regionSize: 2 ** 33,
      memory: 2 ** 30,
      vfds: 64,
      contexts: 16,
      openContext: (name) => this.#open(name),
      log: (text) => this.log.push(text),
      ...rest,
    });
    this.bench = new DeviceBench(this.device);
    [this.in, this.out] = this.#queues();
    this.device.attach(unattached ? undefined : this.mapper);
    this.device.start(features);
    this.offer(buffers);
  }

  /** Begins with fresh queues. */
  #queues(): [MockDriver, MockDriver] {
    this.#freeIn.splice(0, Infinity, ...Array.from({ length: IN_BUFFERS }, (_, i) => i));
    this.#freeOut.splice(0, Infinity, ...Array.from({ length: COMMANDS }, (_, i) => i));
    this.answers.clear();
    return [
      this.bench.driver(IN, 0, QUEUE_SIZE),
      this.bench.driver(OUT, 2 ** 20, QUEUE_SIZE),
    ];
  }

  #open(name: string): Owned<Fd> | "unknown" | "unreachable" {
    this.names.push(name);
    if (name === "nobody") return "unreachable";
    if (name !== "wayland" && name !== "test") return "unknown";
    const [ours, theirs] = socketPair();
    this.hosts.push(theirs);
    return ours;
  }

  /** The host's end of the latest context. */
  get host(): Owned<Fd> {
    return this.hosts[this.hosts.length - 1];
  }

  /** An id of the guest's that is free. */
  get id(): number {
    return ++this.#nextId;
  }

  /** The monitor pauses the VM: everything stops, and begins anew with all that the device had. */
  pause(): void {
    this.device.settle();
    this.#collect();
    this.bench.stop(IN);
    this.bench.stop(OUT);
  }

  resume(buffers = 64): void {
    [this.in, this.out] = this.#queues();
    this.offer(buffers);
  }

  /** As when the driver resets it. */
  reset(): void {
    this.pause();
    this.mapper.mapped.clear();
    this.device.reset();
  }

  /** In buffers that the driver could give. */
  get spareBuffers(): number {
    return this.#freeIn.length;
  }

  /** There is room for a command of any length. */
  get canBeLong(): boolean {
    return this.#freeOut.includes(COMMANDS - 1);
  }

  /** Commands that are not answered. */
  get unanswered(): number {
    return COMMANDS - this.#freeOut.length;
  }

  /** Gives in buffers. */
  offer(count: number, room = IN_BUFFER): void {
    for (let i = 0; i < count; i++) {
      const slot = this.#freeIn.pop();
      assert.ok(slot !== undefined, "no in buffer is left");
      this.in.writeDescriptor(this.in.desc + 16 * slot, {
        address: this.#inAddress(slot),
        length: room,
        flags: DescFlag.Write,
        next: 0,
      });
      this.in.makeAvailable(slot);
    }
  }

  #inAddress(slot: number): number {
    return Math.ceil(this.in.heap / IN_BUFFER) * IN_BUFFER + slot * IN_BUFFER;
  }

  #outAddress(slot: number): number {
    const answers = Math.ceil(this.out.heap / ANSWER) * ANSWER;
    return answers + COMMANDS * ANSWER + slot * COMMAND;
  }

  #answerAddress(slot: number): number {
    return Math.ceil(this.out.heap / ANSWER) * ANSWER + slot * ANSWER;
  }

  /**
   * Gives a command, and lets the device work.
   *
   * @param room for the answer
   * @returns its slot, for {@link Guest.answers}
   */
  command(bytes: Uint8Array, room = ANSWER): number {
    const slot = bytes.length > COMMAND ? this.#take(COMMANDS - 1) : this.#freeOut.shift();
    assert.ok(slot !== undefined, "no room for another command");
    assert.ok(bytes.length <= LONG_COMMAND);
    const address = this.#outAddress(slot);
    this.out.bytes.set(bytes, address);
    const at = (i: number) => this.out.desc + 16 * (2 * slot + i);
    const flags = room === 0 ? 0 : DescFlag.Next;
    const piece = { address, length: bytes.length, flags, next: 2 * slot + 1 };
    this.out.writeDescriptor(at(0), piece);
    const answer = this.#answerAddress(slot);
    this.out.bytes.fill(0xee, answer, answer + ANSWER);
    this.out.writeDescriptor(at(1), {
      address: answer,
      length: room,
      flags: DescFlag.Write,
      next: 0,
    });
    this.out.makeAvailable(2 * slot);
    this.turn();
    return slot;
  }

  #take(slot: number): number | undefined {
    const i = this.#freeOut.indexOf(slot);
    return i < 0 ? undefined : this.#freeOut.splice(i, 1)[0];
  }

  /** Gives a command, and its answer, which comes at once. */
  answer(bytes: Uint8Array, room = ANSWER): Uint8Array {
    const slot = this.command(bytes, room);
    const answer = this.answers.get(slot);
    this.answers.delete(slot);
    assert.ok(answer !== undefined, "there is no answer");
    return answer;
  }

  /** The type of the answer. */
  result(bytes: Uint8Array): number {
    return typeOf(this.answer(bytes));
  }

  /** Whether a command was answered meanwhile, and with what. */
  late(slot: number): number | undefined {
    const answer = this.answers.get(slot);
    return answer && typeOf(answer);
  }

  /** Lets the device work. */
  turn(): void {
    for (let i = 0; i < 3; i++) {
      this.bench.listen();
      this.bench.round();
      this.#collect();
    }
  }

  #collect(): void {
    for (const { head, written } of this.out.takeUsed()) {
      const slot = head / 2;
      const at = this.#answerAddress(slot);
      this.answers.set(slot, this.out.bytes.slice(at, at + written));
      this.#freeOut.push(slot);
    }
  }

  /** Lets the device work, and takes what it says. @param again each buffer goes back to the device */
  messages(again = true): Message[] {
    const messages: Message[] = [];
    for (let before = -1; before !== messages.length;) {
      before = messages.length;
      this.turn();
      for (const { head, written } of this.in.takeUsed()) {
        const at = this.#inAddress(head);
        messages.push(parse(this.in.bytes.slice(at, at + written)));
        this.#freeIn.push(head);
        if (again) this.offer(1);
      }
    }
    return messages;
  }

  // ---- Commands

  context(name = "test"): number {
    const id = this.id;
    const answer = this.answer(newNamed(id, name));
    assert.equal(typeOf(answer), 0x1001);
    return id;
  }

  memory(size: number): { id: number; offset: number } {
    const id = this.id;
    const answer = parse(this.answer(newVfd(WlCommand.New, id, { size })));
    assert.equal(answer.type, 0x1001);
    return { id, offset: answer.page * 4096 };
  }

  pipe(end: "read" | "write"): number {
    const id = this.id;
    const flags = end === "read" ? 2 : 1;
    assert.equal(this.result(newVfd(WlCommand.NewPipe, id, { flags })), 0x1001);
    return id;
  }

  event(): number {
    const id = this.id;
    assert.equal(this.result(newVfd(WlCommand.NewEvent, id)), 0x1001);
    return id;
  }

  send(id: number, data: Uint8Array | string, ids: number[] = []): number {
    return this.result(send(id, data, ids));
  }

  close(id: number): number {
    return this.result(note(WlCommand.Close, id));
  }

  [Symbol.dispose](): void {
    this.reset();
    this.bench[Symbol.dispose]();
    for (const host of this.hosts) host[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }
}
