import * as v from "valibot";
import { bytes, defineMessages, descriptor } from "../../../src/msg/mod.ts";

/** What the receiver of the property test serves. */
export const receiverMessages = defineMessages({
  item: {
    doc: "One random message.",
    body: v.strictObject({
      sequence: v.number(),
      label: v.string(),
      data: bytes,
      files: v.array(descriptor),
      nested: v.optional(v.strictObject({ file: descriptor, list: v.array(v.number()) })),
    }),
  },
  sync: { doc: "Is answered when all before it was seen.", body: v.null(), answer: v.number() },
  finish: {
    doc: "Tells what came.",
    body: v.null(),
    answer: v.strictObject({
      messages: v.number(),
      descriptors: v.number(),
      bytes: v.number(),
      /** The first thing that was wrong, or nothing. */
      wrong: v.string(),
      leaked: v.number(),
    }),
  },
});

/** The other end serves nothing. */
export const senderMessages = defineMessages({});

/** The longest data, in bytes. */
const LONGEST = 2 ** 20;
/** How many files there are to send. */
export const FILES = 61;

/** A small generator (mulberry32): the same numbers in every process. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** From 0 to `most`, every order of magnitude as often as the others. */
export function logUniform(random: () => number, most: number): number {
  return Math.min(most, Math.floor(Math.exp(random() * Math.log(most + 2))) - 1);
}

/** What a message is to hold; both ends compute it. */
export interface Item {
  readonly label: string;
  readonly data: Uint8Array;
  /** Indices of files. */
  readonly files: readonly number[];
  readonly nested: number | undefined;
}

/** The messages of a seed, one after the other. */
export class Workload {
  readonly #random: () => number;
  readonly #bytes = new Uint8Array(2 * LONGEST);

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    const words = new Uint32Array(this.#bytes.buffer);
    for (let i = 0; i < words.length; i++) words[i] = this.#random() * 2 ** 32;
  }

  next(): Item {
    const random = this.#random;
    const length = logUniform(random, LONGEST);
    const start = Math.floor(random() * LONGEST);
    const total = random() < 0.5 ? 0 : Math.floor(random() * 17);
    const some = Array.from({ length: total }, () => Math.floor(random() * FILES));
    const nested = some.length > 8 ? some.pop() : undefined;
    const label = "äx€😀".repeat(Math.floor(random() * 5));
    return { label, data: this.#bytes.subarray(start, start + length), files: some, nested };
  }
}

/** How many descriptors of memory this process has open; the runtime opens and closes others as it likes. */
export function openMemory(): number {
  return [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
    try {
      return MEMORY.test(Deno.readLinkSync(`/proc/self/fd/${name}`));
    } catch {
      // It was the one of reading this folder.
      return false;
    }
  }).length;
}

/** A memfd, or in a guest a VFD. */
const MEMORY = /^\/memfd:|virtio_wl:memory/;
