import {
  type Fd,
  MessageFlags,
  type Owned,
  receiveMessage,
  sendMessage,
  socketPair,
} from "../../../src/os/mod.ts";
import { below, stamped } from "./load.ts";
import type { NetPeer } from "./net_load.ts";

const MOST = 2 ** 20;

/** As passt at the end of a stream, but that it sends back all that it gets. */
export class StreamPeer implements NetPeer {
  readonly pairs = 1;
  readonly mac = "52:54:00:00:00:07";
  #ours: Owned<Fd> | undefined;
  #theirs: Owned<Fd> | undefined;
  /** What has come and was not sent back. */
  #rest = new Uint8Array(0);

  end() {
    this.go();
    const [ours, theirs] = socketPair();
    this.#ours = ours;
    this.#theirs = theirs;
    return { kind: "stream", socket: theirs.borrow() } as const;
  }

  frame(number: number) {
    const sent = stamped(number, 60 + below(2500));
    const isAnswer = (frame: Uint8Array) =>
      frame.length === sent.length && frame.every((byte, i) => byte === sent[i]);
    return { sent, isAnswer };
  }

  turn(): void {
    if (this.#ours === undefined) return;
    const buffer = new Uint8Array(MOST);
    const { length } = receiveMessage(this.#ours, buffer, 0, MessageFlags.DontWait);
    if (length > 0) this.#rest = new Uint8Array([...this.#rest, ...buffer.subarray(0, length)]);
    if (this.#rest.length === 0) return;
    const sent = sendMessage(this.#ours, this.#rest, [], MessageFlags.DontWait);
    if (sent > 0) this.#rest = this.#rest.slice(sent);
  }

  go(): void {
    this.#ours?.[Symbol.dispose]();
    this.#theirs?.[Symbol.dispose]();
    this.#rest = new Uint8Array(0);
  }

  [Symbol.dispose](): void {
    this.go();
  }
}
