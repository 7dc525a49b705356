import { createHash } from "node:crypto";
import { Events, pollOne } from "../../../src/os/mod.ts";
import type { Transport } from "../../../src/msg/mod.ts";
import { logUniform, randomFrom } from "../../interop/messages/workload.ts";

/** Bytes each way. */
export const EXCHANGED = 8 * 2 ** 20;

const LONGEST_MESSAGE = 2 ** 17;

/** What the runtime gives at a time. */
const QUOTA = 65536;

/** Checksums of what went and what came. */
export interface Exchanged {
  readonly sent: string;
  readonly received: string;
  readonly seconds: number;
}

/** Sends random bytes in messages of random size, and meanwhile receives as many. */
export function exchange(transport: Transport, seed: number): Exchanged {
  const random = randomFrom(seed);
  const outgoing = new Uint8Array(EXCHANGED);
  for (let i = 0; i < EXCHANGED; i += QUOTA) {
    crypto.getRandomValues(outgoing.subarray(i, i + QUOTA));
  }
  const incoming = new Uint8Array(EXCHANGED);
  const began = performance.now();
  let sent = 0;
  let came = 0;
  let messageEnd = 0;
  while (sent < EXCHANGED || came < EXCHANGED) {
    let moved = false;
    if (sent < EXCHANGED) {
      if (sent === messageEnd) {
        messageEnd = Math.min(EXCHANGED, sent + 1 + logUniform(random, LONGEST_MESSAGE - 1));
      }
      const count = transport.send(outgoing.subarray(sent, messageEnd), []);
      if (count === "closed") break;
      if (count !== "later") {
        sent += count;
        moved = true;
      }
    }
    if (came < EXCHANGED) {
      const room = incoming.subarray(came, came + 1 + logUniform(random, LONGEST_MESSAGE - 1));
      const chunk = transport.receive(room);
      if (chunk === "closed") break;
      if (chunk !== "later") {
        came += chunk.length;
        moved = true;
      }
    }
    const wanted = (came < EXCHANGED ? Events.In : 0) | (sent < EXCHANGED ? Events.Out : 0);
    if (!moved && wanted !== 0) pollOne(transport.fd, wanted, -1);
  }
  const seconds = (performance.now() - began) / 1000;
  const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  return {
    sent: digest(outgoing.subarray(0, sent)),
    received: digest(incoming.subarray(0, came)),
    seconds,
  };
}
