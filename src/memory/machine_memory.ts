import { type Fd, memfd, type Owned, PAGE_SIZE, type Window } from "../os/mod.ts";
import { GuestMemory, type MemoryRegion } from "./guest_memory.ts";

/** RAM below 4 GiB ends here at the latest: what follows is the PCI window and the interrupt controllers. */
export const PCI_HOLE_START = 0xc000_0000;

/** RAM that did not fit below the hole goes on here. */
export const HIGH_MEMORY_START = 0x1_0000_0000;

/** A region with the memory behind it. */
export interface OwnedRegion extends MemoryRegion {
  /** All of this memory and nothing else; its size is sealed. */
  readonly fd: Owned<Fd>;
}

/**
 * The guest addresses that so much RAM gets.
 *
 * @param bytes a multiple of the page size
 * @throws RangeError when it is not
 */
export function ramLayout(bytes: number): { guestAddress: number; size: number }[] {
  if (!(bytes > 0) || bytes % PAGE_SIZE !== 0 || !Number.isSafeInteger(bytes)) {
    throw new RangeError(`Guest memory cannot have ${bytes} bytes`);
  }
  const low = Math.min(bytes, PCI_HOLE_START);
  const high = bytes - low;
  return [
    { guestAddress: 0, size: low },
    ...(high > 0 ? [{ guestAddress: HIGH_MEMORY_START, size: high }] : []),
  ];
}

/**
 * The RAM of a machine that this process runs. Each region is memory of its own, so that a device can
 * be given one without the other, and lies in the window at a fixed distance from its guest address.
 */
export class MachineMemory implements Disposable {
  readonly guest: GuestMemory;
  /** Window offset of guest address 0. */
  readonly ramBase: number;
  readonly regions: readonly OwnedRegion[];
  readonly #window: Window;
  readonly #span: number;

  private constructor(window: Window, ramBase: number, span: number, regions: OwnedRegion[]) {
    this.#window = window;
    this.#span = span;
    this.ramBase = ramBase;
    this.regions = regions;
    this.guest = new GuestMemory(window, regions);
  }

  /**
   * Allocates the RAM of a machine; pages are taken from the host when they are first touched.
   *
   * @param bytes a multiple of the page size
   * @throws RangeError for a bad size or a window that is too small, OsError when the host refuses
   */
  static create(window: Window, bytes: number): MachineMemory {
    const layout = ramLayout(bytes);
    const last = layout[layout.length - 1];
    const span = last.guestAddress + last.size;
    // At 2 MiB, as huge pages are.
    const ramBase = window.allocate(span, 2 ** 21);
    const regions: OwnedRegion[] = [];
    try {
      for (const [i, { guestAddress, size }] of layout.entries()) {
        const windowOffset = ramBase + guestAddress;
        const fd = memfd(`ram${i}`, size);
        regions.push({ guestAddress, size, windowOffset, fd });
        window.mapFd(windowOffset, size, fd, 0);
        window.preferHugePages(windowOffset, size);
      }
    } catch (error) {
      for (const { fd } of regions) fd[Symbol.dispose]();
      window.free(ramBase, span);
      throw error;
    }
    return new MachineMemory(window, ramBase, span, regions);
  }

  /** Unmaps the memory and closes its descriptors; whoever else has them keeps them. */
  [Symbol.dispose](): void {
    for (const { fd } of this.regions) fd[Symbol.dispose]();
    this.#window.free(this.ramBase, this.#span);
  }
}
