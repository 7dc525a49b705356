/** For tests that let chance decide, and look for what is left behind. */

import { window } from "./testing.ts";

/** What chance begins with; SPECTRUM_SEED repeats a run. */
export const SEED = Number(
  Deno.env.get("SPECTRUM_SEED") ?? Math.floor(Math.random() * 2 ** 31) + 1,
);

/** How many descriptors this process has. */
export const openNumbers = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** Where there is a large place in the window: elsewhere than before when something was left there. */
export function windowMark(): number {
  const at = window.allocate(2 ** 26);
  window.free(at, 2 ** 26);
  return at;
}

/** xorshift32. */
export class Dice {
  constructor(private state: number) {}

  below(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }

  /** True once in so many throws. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** Three of four feature bits. */
  features(all: Readonly<Record<string, bigint>>): bigint {
    return Object.values(all).filter(() => !this.once(4)).reduce((a, b) => a | b, 0n);
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
