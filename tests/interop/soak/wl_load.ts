import {
  EventFd,
  type Fd,
  memfd,
  MessageFlags,
  type Owned,
  pipe,
  receiveMessage,
  reopen,
  sendMessage,
  socketPair,
  writeAll,
} from "../../../src/os/mod.ts";
import {
  credit,
  type Message,
  newNamed,
  newVfd,
  note,
  parse,
  send,
} from "../../../src/devices/testing.ts";
import {
  Feature,
  WL_IN_BUFFER,
  WlCommand,
  WlFeature,
  WlFlag,
  WlResponse,
} from "../../../src/virtio/mod.ts";
import type { DrivenDevice } from "./driven_device.ts";
import { hears, says } from "./host_end.ts";
import { below, count, type Load, stamped, until } from "./load.ts";

const IN = 0;
const OUT = 1;
const BUFFERS = 48;
const ANSWER = 64;
const AT_ONCE = 4;
/** What a guest may have at a time, and what goes with one message of a context. */
const VFDS = 128;
const MOST_SENT = 28;
const LONG = 300_000;
const { New, Close, Receive, HangUp, NewPipe, NewEvent, ArmEvent } = WlCommand;

/** A guest and a host that open virtual descriptors of all kinds, send them to each other, and close them. */
export class WlLoad implements Load {
  readonly features = Feature.Version1 | Feature.IndirectDesc | WlFeature.TransFlags |
    WlFeature.UseShmem | WlFeature.Size64 | WlFeature.Events | WlFeature.Credit;
  readonly configSize = 0;
  readonly queues = 2;
  readonly hasSharedMemory = true;
  readonly counts = {};
  readonly #hosts: Owned<Fd>[] = [];
  readonly #messages = new Map<number, Message[]>();
  #device: DrivenDevice | undefined;
  #id = 0;
  /** One context is opened at a time, so that its host's end is known. */
  #opening: Promise<unknown> = Promise.resolve();
  readonly services = { sockets: { names: ["soak"], open: () => this.#reach() } };

  device() {
    return {
      ...{ kind: "wl", region: 2 ** 33, memory: 2 ** 28 } as const,
      ...{ vfds: VFDS, contexts: 32, doorbells: 0 },
    };
  }

  #reach(): Owned<Fd> {
    const [ours, theirs] = socketPair();
    this.#hosts.push(ours);
    return theirs;
  }

  begin(device: DrivenDevice): void {
    this.#device = device;
    this.#messages.clear();
    this.#id = 0;
    for (const host of this.#hosts.splice(0)) host[Symbol.dispose]();
    device.queues[IN].receive(BUFFERS, WL_IN_BUFFER, (bytes) => {
      const message = parse(bytes);
      const list = this.#messages.get(message.id) ?? [];
      list.push(message);
      this.#messages.set(message.id, list);
    });
  }

  async #command(command: Uint8Array): Promise<Message> {
    const device = this.#device;
    if (device === undefined) throw new Error("There is no device");
    const queue = device.queues[OUT];
    if (queue.underWay === 0) queue.driver.freePlaces();
    const asked = queue.request([command, ANSWER]);
    queue.kick();
    const { written, data: [answer] } = await asked;
    return parse(answer.subarray(0, written));
  }

  async #succeed(command: Uint8Array, wanted: number = WlResponse.Ok): Promise<void> {
    const { type } = await this.#command(command);
    if (type !== wanted) {
      throw new Error(`A command ends with 0x${type.toString(16)}: ${command.subarray(0, 32)}`);
    }
    count(this, "commands");
  }

  async #make(type: number, flags = 0, size = 0): Promise<number> {
    const id = ++this.#id;
    await this.#succeed(newVfd(type, id, { flags, size }), WlResponse.New);
    return id;
  }

  async #close(...ids: number[]): Promise<void> {
    for (const id of ids) {
      await this.#succeed(note(Close, id));
      this.#messages.delete(id);
    }
    count(this, "closed", ids.length);
  }

  /** The next message of a descriptor. */
  async #message(id: number, wanted: number): Promise<Message> {
    let message: Message | undefined;
    await until(() => (message = this.#messages.get(id)?.shift()) !== undefined);
    if (message?.type !== wanted) throw new Error(`${id} says 0x${message?.type.toString(16)}`);
    return message;
  }

  async round(): Promise<void> {
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.#context()));
    count(this, "contexts", AT_ONCE);
    if (below(4) === 0) await this.#many();
  }

  async #context(): Promise<void> {
    const [id, host] = await this.#open();
    try {
      await this.#talk(id, host);
      await this.#guestSends(id, host);
      await this.#hostSends(id, host);
      if (below(2) === 0) {
        host.close();
        await this.#message(id, HangUp);
      }
      await this.#close(id);
    } finally {
      host[Symbol.dispose]();
    }
  }

  /** More than a guest may have, one after the other: what the host has taken does not count. */
  async #many(): Promise<void> {
    const [id, host] = await this.#open();
    try {
      for (let sent = 0; sent <= VFDS; sent += MOST_SENT) {
        const ids: number[] = [];
        while (ids.length < MOST_SENT) ids.push(await this.#make(New, 0, 4096));
        await this.#succeed(send(id, "x", ids));
        const { fds } = receiveMessage(host, new Uint8Array(1), MOST_SENT);
        for (const fd of fds) fd[Symbol.dispose]();
        await this.#close(...ids);
      }
      await this.#close(id);
    } finally {
      host[Symbol.dispose]();
    }
  }

  async #open(): Promise<[number, Owned<Fd>]> {
    const id = ++this.#id;
    const opened = this.#opening.then(async () => {
      await this.#succeed(newNamed(id, "soak"), WlResponse.New);
      return this.#hosts.pop();
    });
    this.#opening = opened.catch(() => {});
    const host = await opened;
    if (host === undefined) throw new Error("Nobody was reached");
    return [id, host];
  }

  /** More than a socket has room for, and back. */
  async #talk(id: number, host: Fd): Promise<void> {
    const text = stamped(id, 1 + below(LONG));
    await Promise.all([this.#succeed(send(id, text)), hears(host, text)]);
    const answer = stamped(id, 1 + below(50_000));
    await Promise.all([says(host, answer), this.#reads(id, answer)]);
    await this.#succeed(credit(id, answer.length));
    count(this, "bytes", text.length + answer.length);
  }

  async #reads(id: number, text: Uint8Array): Promise<void> {
    for (let at = 0; at < text.length;) {
      const { data } = await this.#message(id, Receive);
      if (data.some((byte, i) => byte !== text[at + i])) throw new Error("Other data came");
      at += data.length;
    }
  }

  /** Memory, pipes of both directions, an event. */
  async #guestSends(id: number, host: Owned<Fd>): Promise<void> {
    const memory = await this.#make(New, 0, 5000 + below(100_000));
    const reads = await this.#make(NewPipe, WlFlag.Read);
    const writes = await this.#make(NewPipe, WlFlag.Write);
    const event = await this.#make(NewEvent);
    const ids = [memory, reads, writes, event];
    await this.#succeed(send(id, "x", ids));
    const fds: Owned<Fd>[] = [];
    await until(() => {
      fds.push(...receiveMessage(host, new Uint8Array(1), 28, MessageFlags.DontWait).fds);
      return fds.length === ids.length;
    });
    try {
      writeAll(fds[1], stamped(1, 1000));
      await this.#reads(reads, stamped(1, 1000));
      await this.#succeed(send(writes, stamped(2, 1000)));
      await this.#succeed(note(ArmEvent, event));
      using rung = EventFd.borrow(fds[3]);
      rung.signal();
      await this.#message(event, Receive);
      await this.#succeed(send(event, new Uint8Array(new BigUint64Array([1n]).buffer)));
    } finally {
      for (const fd of fds) fd[Symbol.dispose]();
    }
    await this.#message(reads, HangUp);
    await this.#close(...ids);
  }

  /** The same from the host, and a socket. Of a pipe that was opened once more the kernel does not know RWF_NOWAIT. */
  async #hostSends(id: number, host: Owned<Fd>): Promise<void> {
    using memory = memfd("host", 4096 * (1 + below(20)), { seal: false });
    using event = EventFd.create();
    const [from, to] = pipe();
    using again = reopen(from);
    const [one, other] = socketPair();
    try {
      sendMessage(host, new Uint8Array(1), [memory, again, to, one, event.fd]);
      const { ids } = await this.#message(id, Receive);
      if (ids.length !== 5) throw new Error(`${ids.length} descriptors came`);
      for (const each of ids) await this.#message(each, New);
      writeAll(other, stamped(3, 100));
      await this.#reads(ids[3], stamped(3, 100));
      await this.#succeed(send(ids[2], stamped(4, 100)));
      await this.#reads(ids[1], stamped(4, 100));
      await this.#succeed(note(ArmEvent, ids[4]));
      event.signal();
      await this.#message(ids[4], Receive);
      await this.#close(...ids);
    } finally {
      for (const fd of [from, to, one, other]) fd[Symbol.dispose]();
    }
  }

  /** A context in the middle of its life, and more than its host takes. */
  leave({ queues }: DrivenDevice): void {
    const queue = queues[OUT];
    if (queue.underWay === 0) queue.driver.freePlaces();
    const id = ++this.#id;
    void queue.request([newNamed(id, "soak"), ANSWER]);
    void queue.request([send(id, new Uint8Array(500_000)), ANSWER]);
    queue.kick();
  }

  [Symbol.dispose](): void {
    for (const host of this.#hosts) host[Symbol.dispose]();
  }
}
