import type { GuestMemory } from "../memory/mod.ts";
import type { DescriptorChain } from "./descriptor_chain.ts";
import type { QueueFault } from "./queue_fault.ts";
import { Desc, DescFlag, MAX_QUEUE_SIZE } from "./ring_layout.ts";

const TWO_32 = 0x1_0000_0000;

/**
 * Reads a chain of descriptors (virtio 1.2 §2.7.5), each field once, since the driver may change them
 * meanwhile. Allocates nothing and takes no more steps than the table has descriptors.
 *
 * @param table window offset of the descriptor table
 * @param size descriptors in it
 * @param indirect whether indirect descriptors are negotiated
 * @returns what is wrong with the chain, if anything is
 */
export function walkChain(
  memory: GuestMemory,
  table: number,
  size: number,
  head: number,
  indirect: boolean,
  chain: DescriptorChain,
): QueueFault | undefined {
  const view = memory.view;
  chain.clear();
  if (head >= size) return "head";
  let mayBeIndirect = indirect;
  let index = head;
  let left = size;
  for (;;) {
    if (left-- === 0) return "loop";
    const at = table + index * Desc.size;
    const address = view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
    const length = view.getUint32(at + Desc.length, true);
    const flagsAndNext = view.getUint32(at + Desc.flags, true);
    if ((flagsAndNext & DescFlag.Indirect) !== 0) {
      if (!mayBeIndirect || (flagsAndNext & DescFlag.Next) !== 0) return "indirect";
      // §2.7.5.3: a table ends the chain and contains no table.
      mayBeIndirect = false;
      size = length / Desc.size;
      table = memory.translate(address, length);
      if (table < 0 || size === 0 || size > MAX_QUEUE_SIZE || !Number.isInteger(size)) {
        return "indirect-table";
      }
      left = size;
      index = 0;
      continue;
    }
    if (length > 0) {
      const writable = (flagsAndNext & DescFlag.Write) !== 0;
      const offset = memory.translate(address, length, writable);
      const fault = offset >= 0
        ? chain.push(offset, length, writable)
        : pushAcross(memory, address, length, writable, chain);
      if (fault !== undefined) return fault;
    }
    if ((flagsAndNext & DescFlag.Next) === 0) return undefined;
    index = flagsAndNext >>> 16;
    if (index >= size) return "next";
  }
}

/** A buffer may cross from one region into another: guests know nothing of regions. What is in none is left out. */
function pushAcross(
  memory: GuestMemory,
  address: number,
  length: number,
  writable: boolean,
  chain: DescriptorChain,
): QueueFault | undefined {
  while (length > 0) {
    const part = Math.min(length, memory.reach(address));
    const offset = part === 0 ? -1 : memory.translate(address, part, writable);
    if (offset < 0) {
      chain.unreachable = true;
      return chain.mayBeUnreachable ? undefined : "address";
    }
    const fault = chain.push(offset, part, writable);
    if (fault !== undefined) return fault;
    address += part;
    length -= part;
  }
  return undefined;
}
