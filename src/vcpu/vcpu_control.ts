import { array, struct, u32 } from "../codec/mod.ts";
import type { SharedState, StateArena } from "../bus/mod.ts";
import { Outcome, type OutcomeKind } from "./outcome.ts";

/** What the control thread wants of a vCPU thread. */
export const Command = { Park: 0, Run: 1, Quit: 2 } as const;

/** Where a vCPU thread is. */
export const ThreadState = { Starting: 0, Parked: 1, Running: 2, Leaving: 3, Gone: 4 } as const;

/** KVM's exit reasons are small numbers; those from here on share the last counter. */
const COUNTERS = 40;

const Layout = struct({
  command: u32,
  state: u32,
  threadId: u32,
  outcome: u32,
  outcomeDetail: u32,
  exits: array(u32, COUNTERS),
});

/** Exits of a vCPU since it started, by KVM exit reason. */
export type ExitCounts = Readonly<Record<number, number>>;

/** The words by which the control thread and one vCPU thread speak, in the machine's shared state. */
export class VcpuControl {
  readonly #words: Int32Array;
  readonly #at: number;

  /** Sets aside the words of one more vCPU. */
  static allocate(arena: StateArena): number {
    return arena.allocate(Layout.size, 64);
  }

  constructor(state: SharedState, offset: number) {
    this.#words = state.words;
    this.#at = offset / 4;
  }

  get command(): number {
    return Atomics.load(this.#words, this.#at + Layout.offset.command / 4);
  }

  /** Gives a command; a thread that is in the guest must also be kicked. */
  set command(command: number) {
    const at = this.#at + Layout.offset.command / 4;
    Atomics.store(this.#words, at, command);
    Atomics.notify(this.#words, at);
  }

  /** From `Park` to `Run`; a thread that was told to quit before stays so. */
  release(): void {
    const at = this.#at + Layout.offset.command / 4;
    Atomics.compareExchange(this.#words, at, Command.Park, Command.Run);
    Atomics.notify(this.#words, at);
  }

  /** From `Run` to `Park`; a thread that was told to quit before stays so. */
  hold(): void {
    const at = this.#at + Layout.offset.command / 4;
    Atomics.compareExchange(this.#words, at, Command.Run, Command.Park);
  }

  /** Blocks until there is another command than `Park`. */
  waitWhileParked(): void {
    const at = this.#at + Layout.offset.command / 4;
    while (Atomics.load(this.#words, at) === Command.Park) {
      Atomics.wait(this.#words, at, Command.Park);
    }
  }

  get state(): number {
    return Atomics.load(this.#words, this.#at + Layout.offset.state / 4);
  }
  set state(state: number) {
    Atomics.store(this.#words, this.#at + Layout.offset.state / 4, state);
  }

  /** The kernel's id of the thread, by which it is kicked. */
  get threadId(): number {
    return Atomics.load(this.#words, this.#at + Layout.offset.threadId / 4);
  }
  set threadId(id: number) {
    Atomics.store(this.#words, this.#at + Layout.offset.threadId / 4, id);
  }

  /** Says why this vCPU ended the machine; the first word counts. Only its own thread, or none, runs. */
  finish(outcome: OutcomeKind, detail = 0): void {
    if (this.outcome !== Outcome.None) return;
    Atomics.store(this.#words, this.#at + Layout.offset.outcomeDetail / 4, detail);
    Atomics.store(this.#words, this.#at + Layout.offset.outcome / 4, outcome);
  }

  get outcome(): OutcomeKind {
    return Atomics.load(this.#words, this.#at + Layout.offset.outcome / 4) as OutcomeKind;
  }
  get outcomeDetail(): number {
    return Atomics.load(this.#words, this.#at + Layout.offset.outcomeDetail / 4) >>> 0;
  }

  /** Counts an exit. Only the thread itself writes its counters. */
  count(reason: number): void {
    this.#words[this.#at + Layout.offset.exits / 4 + Math.min(reason, COUNTERS - 1)]++;
  }

  /** Exits so far by KVM exit reason; reasons that never came are left out. */
  exits(): ExitCounts {
    const start = this.#at + Layout.offset.exits / 4;
    const counts: Record<number, number> = {};
    for (let reason = 0; reason < COUNTERS; reason++) {
      const count = this.#words[start + reason] >>> 0;
      if (count > 0) counts[reason] = count;
    }
    return counts;
  }
}
