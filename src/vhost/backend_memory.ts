import { GuestMemory } from "../memory/mod.ts";
import {
  Errno,
  type Fd,
  type FileStat,
  fileStat,
  openMode,
  OsError,
  PAGE_SIZE,
  type Window,
} from "../os/mod.ts";
import { BackendRefusal } from "./backend_refusal.ts";

/** What a mapping that could be written to fails with where memory is only to be read. */
const READ_ONLY: ReadonlySet<number> = new Set([Errno.EACCES, Errno.EPERM]);

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
  readonly writable: boolean;
  /** The descriptor could be written to; memory that is sealed against it is not writable all the same. */
  readonly wanted: boolean;
  users: number;
}

interface Region extends AnnouncedRegion {
  readonly mapping: Mapping;
  /** How often it was added: QEMU does that once for each pair of queues of a network device, and removes it as often. */
  times: number;
}

/**
 * The memory that a frontend shares, mapped into the window, addressed in both ways that the protocol
 * has. Regions of one memory object share one mapping. What may only be read is mapped so.
 */
export class BackendMemory implements Disposable {
  /** By guest address, as descriptors name it. Grows in place; another one after {@linkcode replace}. */
  guest: GuestMemory;
  /** By the frontend's user address, as ring addresses are given. */
  user: GuestMemory;
  #regions = new Map<number, Region>();
  readonly #mappings = new Set<Mapping>();

  /** @param maxRegions more are refused */
  constructor(private readonly window: Window, private readonly maxRegions: number) {
    this.guest = new GuestMemory(window, []);
    this.user = new GuestMemory(window, []);
  }

  /**
   * Replaces all regions; on failure everything stays as it was. Who holds places in memory must be done with them.
   *
   * @param fds one for each region; they stay the caller's
   * @throws BackendRefusal for a region that cannot be
   */
  replace(announced: readonly AnnouncedRegion[], fds: readonly Fd[]): void {
    const old = { guest: this.guest, user: this.user, regions: this.#regions };
    this.guest = new GuestMemory(this.window, []);
    this.user = new GuestMemory(this.window, []);
    this.#regions = new Map();
    let gone = old.regions;
    try {
      announced.forEach((region, i) => this.add(region, fds[i]));
    } catch (error) {
      gone = this.#regions;
      this.guest = old.guest;
      this.user = old.user;
      this.#regions = old.regions;
      throw error;
    } finally {
      for (const { mapping } of gone.values()) this.#release(mapping);
    }
  }

  /** Adds one region, which nobody need stop for, or the same once more. Throws as {@link replace}. */
  add(announced: AnnouncedRegion, fd: Fd): void {
    const known = this.#regions.get(announced.guestAddress);
    if (known !== undefined && isSame(known, announced, fd)) {
      known.times++;
      return;
    }
    if (this.#regions.size === this.maxRegions) {
      throw new BackendRefusal(`there are ${this.maxRegions} memory regions already`);
    }
    const region = this.#map(announced, fd);
    const { guestAddress, userAddress, size, mmapOffset, mapping } = region;
    const { writable } = mapping;
    const place = { size, windowOffset: mapping.windowOffset + mmapOffset, writable };
    try {
      this.guest.add({ ...place, guestAddress });
      try {
        this.user.add({ ...place, guestAddress: userAddress });
      } catch (error) {
        this.guest.remove(guestAddress);
        throw error;
      }
    } catch (error) {
      this.#release(mapping);
      if (error instanceof RangeError) throw new BackendRefusal("memory regions overlap");
      throw error;
    }
    this.#regions.set(guestAddress, region);
  }

  /**
   * Removes the region that was announced so, if this is as often as it was added. Who holds places in it must be done with them.
   *
   * @throws BackendRefusal when there is none
   */
  remove({ guestAddress, size, userAddress }: AnnouncedRegion): void {
    const region = this.#regions.get(guestAddress);
    if (region === undefined || region.size !== size || region.userAddress !== userAddress) {
      throw new BackendRefusal("there is no such memory region");
    }
    if (--region.times > 0) return;
    this.guest.remove(guestAddress);
    this.user.remove(userAddress);
    this.#regions.delete(guestAddress);
    this.#release(region.mapping);
  }

  #map(region: AnnouncedRegion, fd: Fd): Region {
    const { guestAddress, size, userAddress, mmapOffset } = region;
    const end = mmapOffset + size;
    const ends = [end, guestAddress + size, userAddress + size];
    if (!(size > 0) || !ends.every(Number.isSafeInteger)) {
      throw new BackendRefusal(`a memory region has ${size} bytes at ${mmapOffset}`);
    }
    const stat = fileStat(fd);
    // The last page of an odd size counts whole, as it does for who maps it.
    if (end > inPages(stat.size)) {
      throw new BackendRefusal(`a memory region ends at ${end}, but there are ${stat.size} bytes`);
    }
    const { write } = openMode(fd);
    const mapping = this.#known(stat, end, write) ?? this.#mapFile(fd, stat, write);
    mapping.users++;
    return { guestAddress, size, userAddress, mmapOffset, mapping, times: 1 };
  }

  /** The mapping of a memory object by a descriptor that can do as much as the one that came now. */
  #known({ dev, ino }: FileStat, end: number, write: boolean): Mapping | undefined {
    for (const known of this.#mappings) {
      const same = known.dev === dev && known.ino === ino && known.length >= end;
      if (same && known.wanted === write) return known;
    }
    return undefined;
  }

  #mapFile(fd: Fd, { dev, ino, size }: FileStat, wanted: boolean): Mapping {
    const length = inPages(size);
    let windowOffset: number;
    try {
      windowOffset = this.window.allocate(length, 2 ** 21);
    } catch {
      throw new BackendRefusal(`memory of ${size} bytes does not fit into the address window`);
    }
    try {
      const writable = this.#mapAny(windowOffset, length, fd);
      const mapping = { dev, ino, windowOffset, length, writable, wanted, users: 0 };
      this.#mappings.add(mapping);
      return mapping;
    } catch (error) {
      this.window.free(windowOffset, length);
      throw new BackendRefusal(error instanceof Error ? error.message : String(error));
    }
  }

  /** Maps it so that it can be written to, or else read only. Returns which. */
  #mapAny(windowOffset: number, length: number, fd: Fd): boolean {
    try {
      this.window.mapFd(windowOffset, length, fd, 0);
      return true;
    } catch (error) {
      // Opened for reading, or sealed against writing: then older kernels know no shared mappings either.
      if (!(error instanceof OsError) || !READ_ONLY.has(error.errno)) throw error;
      this.window.mapFd(windowOffset, length, fd, 0, { write: false, shared: false });
      return false;
    }
  }

  #release(mapping: Mapping): void {
    if (--mapping.users > 0) return;
    this.#mappings.delete(mapping);
    this.window.free(mapping.windowOffset, mapping.length);
  }

  /** How many memory objects are mapped. */
  get mappingCount(): number {
    return this.#mappings.size;
  }

  /** Unmaps everything. */
  [Symbol.dispose](): void {
    this.replace([], []);
  }
}

function isSame(known: Region, announced: AnnouncedRegion, fd: Fd): boolean {
  const { dev, ino } = fileStat(fd);
  const { mapping } = known;
  return known.size === announced.size && known.userAddress === announced.userAddress &&
    known.mmapOffset === announced.mmapOffset && mapping.dev === dev && mapping.ino === ino &&
    mapping.wanted === openMode(fd).write;
}

function inPages(size: number): number {
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}
