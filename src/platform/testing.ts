/** Stand-ins for what devices are wired to, for tests. */
import type { InterruptLine, MachineEvent, MachineEvents } from "../bus/mod.ts";
import { SharedState, StateArena } from "../bus/mod.ts";

/** A line that remembers its level and its rising edges. */
export class TestLine implements InterruptLine {
  level: 0 | 1 = 0;
  edges = 0;
  set(level: 0 | 1): void {
    if (level === 1 && this.level === 0) this.edges++;
    this.level = level;
  }
}

/** Remembers what the guest asked for. */
export class TestEvents implements MachineEvents {
  readonly raised: MachineEvent[] = [];
  stopping = false;
  raise(event: MachineEvent): void {
    this.raised.push(event);
  }
}

/** Counts signals. */
export class TestWake {
  count = 0;
  signal(): void {
    this.count++;
  }
}

/** An arena over fresh state. */
export function testArena(bytes = 0x40_0000): StateArena {
  return new StateArena(new SharedState(new SharedArrayBuffer(bytes)));
}
