/** Guest memory: regions, and from guest-physical addresses to offsets in the window, with every bound checked. */

export { GuestFault } from "./guest_fault.ts";
export { GuestMemory, type MemoryRegion } from "./guest_memory.ts";
export {
  HIGH_MEMORY_START,
  MachineMemory,
  type OwnedRegion,
  PCI_HOLE_START,
  ramLayout,
} from "./machine_memory.ts";
