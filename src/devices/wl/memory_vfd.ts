import type { Fd, Owned } from "../../os/mod.ts";
import { WlFlag } from "../../virtio/mod.ts";
import type { Charge } from "./charge.ts";
import type { Region } from "./region.ts";
import { Vfd } from "./vfd.ts";

/** Where memory is, and what it is. */
export interface MemoryPlace {
  /** In the shared memory region, in bytes. */
  readonly offset: number;
  /** Bytes, as the descriptor has them. */
  readonly size: number;
  readonly writable: boolean;
}

/** Memory that guest and host share. */
export class MemoryVfd extends Vfd {
  override readonly offset: number;
  override readonly size: number;
  protected readonly sendable: Owned<Fd>;
  readonly #region: Region;
  readonly #writable: boolean;

  /** @param fd moves in here; mapped at its place in the region */
  constructor(id: number, charge: Charge, fd: Owned<Fd>, region: Region, place: MemoryPlace) {
    super(id, charge);
    this.sendable = fd.move();
    this.offset = place.offset;
    this.size = place.size;
    this.#region = region;
    this.#writable = place.writable;
  }

  flags(): number {
    return this.#writable ? WlFlag.Write | WlFlag.Read : WlFlag.Read;
  }

  override close(): void {
    this.#region.unmap(this.offset);
    super.close();
  }

  protected dispose(): void {
    this.sendable[Symbol.dispose]();
  }
}
