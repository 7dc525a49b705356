import { type Fd, type Owned, TapFlag, tapFlags } from "../../../src/os/mod.ts";
import { openTap } from "../../../src/machine/mod.ts";
import { below, stamped } from "./load.ts";
import type { NetPeer } from "./net_load.ts";

const GUEST = [10, 9, 0, 2];
const HOST = [10, 9, 0, 1];
const ETHERNET = 14;
const IP = 20;
const ICMP = 8;
/** The protocol's number. */
const TCP = 6;

/** What has to be run in a network namespace before there can be such a peer. */
export const makeTap = [
  "ip tuntap add dev soak0 mode tap multi_queue",
  "ip link set soak0 address 52:54:00:00:00:08",
  "ip address add 10.9.0.1/24 dev soak0",
  "ip link set soak0 up",
  "ip neighbor add 10.9.0.2 lladdr 52:54:00:00:00:07 dev soak0",
].join(" && ");

/** The kernel at the other side of a tap, which answers to pings. */
export class TapPeer implements NetPeer {
  readonly pairs = 2;
  readonly mac = "52:54:00:00:00:07";
  readonly #queues: readonly Owned<Fd>[] = openTap("soak0", 2);
  /** Of the last dial. */
  #port = 0;

  end() {
    return { kind: "tap", queues: this.#queues.map((queue) => queue.borrow()) } as const;
  }

  frame(number: number) {
    const data = stamped(number, 32 + below(1400));
    const sent = new Uint8Array(ETHERNET + IP + ICMP + data.length);
    const view = new DataView(sent.buffer);
    sent.set([0x52, 0x54, 0, 0, 0, 8, 0x52, 0x54, 0, 0, 0, 7, 8, 0]);
    sent.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, ...GUEST, ...HOST], ETHERNET);
    view.setUint16(ETHERNET + 2, sent.length - ETHERNET);
    view.setUint16(ETHERNET + 10, checksum(sent.subarray(ETHERNET, ETHERNET + IP)));
    // An echo request, whose identifier and sequence number are its number.
    sent.set([8, 0, 0, 0, number >> 24, number >> 16, number >> 8, number], ETHERNET + IP);
    sent.set(data, ETHERNET + IP + ICMP);
    view.setUint16(ETHERNET + IP + 2, checksum(sent.subarray(ETHERNET + IP)));
    const at = ETHERNET + IP + 4;
    const isAnswer = (frame: Uint8Array) =>
      frame.length === sent.length && frame[ETHERNET + IP] === 0 &&
      frame.subarray(at).every((byte, i) => byte === sent[at + i]);
    return { sent, isAnswer };
  }

  turn(): void {}

  get pairsInUse(): number {
    return this.#queues.filter((queue) => (tapFlags(queue) & TapFlag.Detached) === 0).length;
  }

  /** A connection that nobody answers, each to another port. */
  dial(): Disposable {
    const controller = new AbortController();
    const { signal } = controller;
    this.#port = 1 + this.#port % 60_000;
    Deno.connect({ hostname: GUEST.join("."), port: this.#port, signal }).catch(() => {});
    return { [Symbol.dispose]: () => controller.abort() };
  }

  /** Whether it is of the last dial; of those before some may still be in the tap, as they were made. */
  isDial(frame: Uint8Array): boolean {
    const port = frame[ETHERNET + IP + 2] << 8 | frame[ETHERNET + IP + 3];
    return frame[ETHERNET] === 0x45 && frame[ETHERNET + 9] === TCP && port === this.#port;
  }

  go(): void {}

  [Symbol.dispose](): void {
    for (const queue of this.#queues) queue[Symbol.dispose]();
  }
}

/** The Internet checksum. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
