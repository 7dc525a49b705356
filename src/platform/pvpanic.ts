import type { AccessSize, IoDevice, MachineEvents } from "../bus/mod.ts";

/** What the device understands, and what a guest writes (QEMU docs/specs/pvpanic). */
const PvpanicEvent = { Panicked: 1, CrashLoaded: 2 } as const;

/** A port by which a guest's kernel says that it panicked. */
export class Pvpanic implements IoDevice {
  readonly #events: MachineEvents;

  constructor(events: MachineEvents) {
    this.#events = events;
  }

  read(_offset: number, _size: AccessSize): number {
    return PvpanicEvent.Panicked | PvpanicEvent.CrashLoaded;
  }

  write(_offset: number, _size: AccessSize, value: number): void {
    // A guest that loads a crash kernel goes on by itself.
    if (value & PvpanicEvent.Panicked) this.#events.raise("panic");
  }
}
