// The runtime of a worker under the filter of a policy, without a device: does what devices bring about rarely.
//
// Arguments: one of the names below, the policy as JSON.

import { filterCalls, useLibrary } from "../../src/os/mod.ts";
import { compileFilter, type Policy } from "../../src/sandbox/mod.ts";

const BUSY_MS = 3000;
const SOON_MS = 300;
/** A thread of the runtime that has nothing to do ends after 10 seconds. */
const IDLE_MS = 11_500;
/** Few enough for the last to wait until the lock is there, where they have one processor. */
const THREADS = 16;
/** They make each of them work for some milliseconds, so that none does the work of another. */
const ITERATIONS = 20_000;
/** What takes so many numbers, the C library keeps outside of its heap and makes larger there. */
const MANY = 200_000;

/** What is done before the lock and after it. */
const works: Readonly<Record<string, readonly [before: () => void, after: () => void]>> = {
  /** Code that gets hot, garbage of all sizes, large blocks of the C library that grow. */
  "busy": [() => {}, keepBusy],
  /** Threads that have not begun when the lock comes. */
  "threads that begin": [startThreads, () => pause(SOON_MS)],
  /** Threads that end, one waiting for the other. */
  "threads that end": [startThreads, () => pause(IDLE_MS)],
};

const { subtle } = crypto;
const key = await subtle.importKey("raw", new Uint8Array(16), "PBKDF2", false, ["deriveBits"]);

function startThreads(): void {
  const salt = new Uint8Array(16);
  const algorithm = { name: "PBKDF2", hash: "SHA-256", salt, iterations: ITERATIONS };
  for (let i = 0; i < THREADS; i++) void subtle.deriveBits(algorithm, key, 256);
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function keepBusy(): void {
  const end = performance.now() + BUSY_MS;
  const kept: unknown[] = [];
  for (let round = 0; performance.now() < end; round++) {
    // Each is a function of its own, which the engine compiles anew and then better.
    const loop = `for (let i = 0; i < 3000; i++) x = (x * ${round} + i) | 0;`;
    const hot = new Function("x", `${loop} return x;`);
    for (let i = 0; i < 40; i++) hot(i);
    const garbage = Array.from({ length: 3000 }, (_, i) => ({ i, text: String(i * round) }));
    kept[round % 30] = [garbage, new Uint8Array(2 ** 18).fill(round), /a+b/.exec("xaaab")];
    if (round % 10 === 0) structuredClone(Array.from({ length: MANY }, (_, i) => i / 2));
  }
}

const [name, policy] = Deno.args;
const [before, after] = works[name];
useLibrary("worker");
const filter = compileFilter((JSON.parse(policy) as Policy).calls, "kill");
before();
filterCalls(filter);
after();
Deno.exit(0);
