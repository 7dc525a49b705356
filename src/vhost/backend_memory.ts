import { GuestMemory } from "../memory/mod.ts";
import { type Fd, type FileStat, fileStat, PAGE_SIZE, type Window } from "../os/mod.ts";
import { BackendRefusal } from "./backend_refusal.ts";

/** A region as a frontend announces it. Every field may be a lie. */
export interface AnnouncedRegion {
  readonly guestAddress: number;
  readonly size: number;
  readonly userAddress: number;
  readonly mmapOffset: number;
}

/** Memory of one descriptor, mapped as a whole: it can be seen as a whole whatever part is announced. */
interface Mapping {
  readonly dev: number;
  readonly ino: number;
  readonly windowOffset: number;
  readonly length: number;
  users: number;
}

interface Region extends AnnouncedRegion {
  readonly mapping: Mapping;
}

/**
 * The memory that a frontend shares, mapped into the window, addressed in both ways that the protocol
 * has. Regions of one memory object share one mapping. The maps are replaced on each change: what holds
 * an old one must be done with it before.
 */
export class BackendMemory implements Disposable {
  /** By guest address, as descriptors name it. */
  guest: GuestMemory;
  /** By the frontend's user address, as ring addresses are given. */
  user: GuestMemory;
  #regions: Region[] = [];
  #mappings: Mapping[] = [];

  /** @param maxRegions more are refused */
  constructor(private readonly window: Window, private readonly maxRegions: number) {
    this.guest = this.user = new GuestMemory(window, []);
  }

  /**
   * Replaces all regions; on failure everything stays as it was.
   *
   * @param fds one for each region; they stay the caller's
   * @throws BackendRefusal for a region that cannot be
   */
  replace(announced: readonly AnnouncedRegion[], fds: readonly Fd[]): void {
    const regions: Region[] = [];
    try {
      announced.forEach((region, i) => regions.push(this.#map(region, fds[i])));
      this.#adopt(regions, this.#regions);
    } catch (error) {
      for (const { mapping } of regions) this.#release(mapping);
      throw error;
    }
  }

  /** Adds one region. Throws as {@link replace}. */
  add(announced: AnnouncedRegion, fd: Fd): void {
    if (this.#regions.length === this.maxRegions) {
      throw new BackendRefusal(`there are ${this.maxRegions} memory regions already`);
    }
    const region = this.#map(announced, fd);
    try {
      this.#adopt([...this.#regions, region], []);
    } catch (error) {
      this.#release(region.mapping);
      throw error;
    }
  }

  /** Removes the region that was announced so. Throws BackendRefusal when there is none. */
  remove({ guestAddress, size, userAddress }: AnnouncedRegion): void {
    const region = this.#regions.find((known) =>
      known.guestAddress === guestAddress && known.size === size &&
      known.userAddress === userAddress
    );
    if (region === undefined) throw new BackendRefusal("there is no such memory region");
    this.#adopt(this.#regions.filter((known) => known !== region), [region]);
  }

  #adopt(regions: Region[], gone: readonly Region[]): void {
    const placed = regions.map((region) => ({
      ...region,
      windowOffset: region.mapping.windowOffset + region.mmapOffset,
    }));
    try {
      const guest = new GuestMemory(this.window, placed);
      const byUser = placed.map((region) => ({ ...region, guestAddress: region.userAddress }));
      this.user = new GuestMemory(this.window, byUser);
      this.guest = guest;
    } catch (error) {
      if (error instanceof RangeError) throw new BackendRefusal("memory regions overlap");
      throw error;
    }
    this.#regions = regions;
    for (const { mapping } of gone) this.#release(mapping);
  }

  #map(region: AnnouncedRegion, fd: Fd): Region {
    const { guestAddress, size, userAddress, mmapOffset } = region;
    const end = mmapOffset + size;
    const ends = [end, guestAddress + size, userAddress + size];
    if (!(size > 0) || !ends.every(Number.isSafeInteger)) {
      throw new BackendRefusal(`a memory region has ${size} bytes at ${mmapOffset}`);
    }
    const stat = fileStat(fd);
    if (end > stat.size) {
      throw new BackendRefusal(`a memory region ends at ${end}, but there are ${stat.size} bytes`);
    }
    const mapping =
      this.#mappings.find((known) =>
        known.dev === stat.dev && known.ino === stat.ino && known.length >= end
      ) ?? this.#mapFile(fd, stat);
    mapping.users++;
    return { guestAddress, size, userAddress, mmapOffset, mapping };
  }

  #mapFile(fd: Fd, { dev, ino, size }: FileStat): Mapping {
    let windowOffset: number;
    try {
      windowOffset = this.window.allocate(size, 2 ** 21);
    } catch {
      throw new BackendRefusal(`memory of ${size} bytes does not fit into the address window`);
    }
    // The tail of the last page of an odd file is no memory to touch, but no danger either.
    const length = Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
    try {
      this.window.mapFd(windowOffset, length, fd, 0);
    } catch (error) {
      this.window.free(windowOffset, size);
      throw new BackendRefusal(error instanceof Error ? error.message : String(error));
    }
    const mapping = { dev, ino, windowOffset, length: size, users: 0 };
    this.#mappings.push(mapping);
    return mapping;
  }

  #release(mapping: Mapping): void {
    if (--mapping.users > 0) return;
    this.#mappings = this.#mappings.filter((known) => known !== mapping);
    this.window.free(mapping.windowOffset, mapping.length);
  }

  /** How many memory objects are mapped. */
  get mappingCount(): number {
    return this.#mappings.length;
  }

  /** Unmaps everything. */
  [Symbol.dispose](): void {
    this.#adopt([], this.#regions);
  }
}
