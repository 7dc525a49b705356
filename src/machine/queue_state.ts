import type { MachineMemory } from "../memory/mod.ts";
import type { VirtioPciControl } from "../pci/mod.ts";
import type { QueueInfo } from "./vm_control.ts";

/**
 * The index of an available or used ring (virtio 1.2 §2.7.6, §2.7.8).
 *
 * @param ring its guest address, which the transport has checked
 */
export function ringIndex({ guest, ramBase }: MachineMemory, ring: number): number {
  return guest.view.getUint16(ramBase + ring + 2, true);
}

/** All queues of a device, enabled or not. */
export function queuesOf(control: VirtioPciControl, memory: MachineMemory): QueueInfo[] {
  return control.driver().queues.map(({ index, size, enabled, avail, used }) => ({
    index,
    size,
    enabled,
    available: enabled ? ringIndex(memory, avail) : 0,
    used: enabled ? ringIndex(memory, used) : 0,
  }));
}

/** Requests that the driver has made and no backend has answered, as far as a guest tells the truth. */
export function requestsUnderWay(queues: readonly QueueInfo[]): number {
  return queues.reduce(
    (sum, { size, available, used }) => sum + Math.min((available - used) & 0xffff, size),
    0,
  );
}
