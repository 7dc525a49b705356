// proxy.ts SEED: hands on between the sockets at 3 and 4, in pieces of random length, with random delays.
import {
  Errno,
  Events,
  Fd,
  MAX_DESCRIPTORS,
  MessageFlags,
  type Owned,
  Poller,
  receiveMessage,
  sendMessage,
} from "../../../src/os/mod.ts";
import { logUniform, randomFrom } from "./workload.ts";

const random = randomFrom(Number(Deno.args[0]));
const LONGEST_PIECE = 2 ** 17;
const DELAY_MS = 3;

/** One direction. */
class Lane {
  readonly #buffer = new Uint8Array(LONGEST_PIECE);
  #start = 0;
  #end = 0;
  #fds: Owned<Fd>[] = [];
  /** When a delay is over; 0 when there is none. */
  resumeAt = 0;

  constructor(readonly from: Fd, readonly to: Fd) {}

  /** Does one thing, if it can. */
  step(): boolean {
    if (performance.now() < this.resumeAt) return false;
    this.resumeAt = 0;
    const moved = this.#start < this.#end ? this.#send() : this.#receive();
    if (moved && random() < 0.002) this.resumeAt = performance.now() + random() * DELAY_MS;
    return moved;
  }

  #receive(): boolean {
    const piece = this.#buffer.subarray(0, 1 + logUniform(random, LONGEST_PIECE - 1));
    const { length, fds } = receiveMessage(
      this.from,
      piece,
      MAX_DESCRIPTORS,
      MessageFlags.DontWait,
    );
    if (length === -Errno.EAGAIN) return false;
    if (length <= 0) Deno.exit(0);
    this.#start = 0;
    this.#end = length;
    this.#fds = fds;
    return true;
  }

  #send(): boolean {
    // Which byte they came with is not known, but that the last one is of the same message.
    const isLast = this.#end - this.#start === 1;
    const all = this.#fds.length > 0 && !isLast ? this.#end - 1 : this.#end;
    const end = Math.min(all, this.#start + 1 + logUniform(random, LONGEST_PIECE - 1));
    const fds = isLast ? this.#fds : [];
    const bytes = this.#buffer.subarray(this.#start, end);
    const sent = sendMessage(this.to, bytes, fds, MessageFlags.DontWait);
    if (sent === -Errno.EAGAIN) return false;
    if (sent <= 0) Deno.exit(0);
    for (const fd of fds) fd[Symbol.dispose]();
    if (isLast) this.#fds = [];
    this.#start += sent;
    return true;
  }
}

using one = Fd.inherited(3);
using other = Fd.inherited(4);
using poller = new Poller();
const events = Events.In | Events.Out | Events.EdgeTriggered;
poller.add(one, 0, events);
poller.add(other, 1, events);
const lanes = [new Lane(one, other), new Lane(other, one)];
for (;;) {
  let moved = false;
  for (const lane of lanes) moved = lane.step() || moved;
  if (moved) continue;
  const due = lanes.map(({ resumeAt }) => resumeAt).filter((time) => time > 0);
  poller.wait(due.length > 0 ? Math.max(0, Math.ceil(Math.min(...due) - performance.now())) : -1);
}
