/** Address decoding, and the shared memory in which all device state lives under locks that any thread can take. */

export { BadState } from "./bad_state.ts";
export { Bus, MmioBus, PortBus, RangeConflict } from "./bus.ts";
export { type AccessSize, type BusRange, IgnoredDevice, type IoDevice } from "./io_device.ts";
export {
  type DoorbellAddress,
  GsiLine,
  type InterruptController,
  type InterruptLine,
} from "./interrupts.ts";
export type { MachineEvent, MachineEvents } from "./machine_events.ts";
export { SharedState } from "./shared_state.ts";
export { StateArena, StateExhausted } from "./state_arena.ts";
export { LockStuck, StateLock } from "./state_lock.ts";
