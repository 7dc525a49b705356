import type { Fd, Owned } from "../os/mod.ts";
import type { SharedRegion } from "../vhost/mod.ts";

/** Memory of a device that the guest sees beside its RAM. */
export interface SharedMapping extends SharedRegion {
  readonly fd: Owned<Fd>;
  /** By the guest. */
  readonly writable: boolean;
}

/** A device whose driver may be handed a buffer in such memory. */
export interface MappingUser {
  /** Resolves when the backend can use it, or never will. */
  add(mapping: SharedMapping): Promise<void>;
  /** Resolves when the backend leaves it alone, or is gone. */
  remove(mapping: SharedMapping): Promise<void>;
}

/**
 * What all devices of a machine show to its guest, for the backends of the others: programs of the guest do direct I/O
 * into it. Addresses are those of when it was mapped: while something is, Linux does not move a BAR.
 */
export class SharedMappings implements Disposable {
  readonly #mappings = new Set<SharedMapping>();
  readonly #users = new Set<MappingUser>();
  #closed = false;

  /** What there is now. */
  get current(): Iterable<SharedMapping> {
    return this.#mappings;
  }

  /** From now on this one is told, too. */
  join(user: MappingUser): void {
    this.#users.add(user);
  }

  /** Resolves when every backend that can knows the mapping, which moves in here. */
  async add(mapping: SharedMapping): Promise<void> {
    if (this.#closed) return mapping.fd[Symbol.dispose]();
    this.#mappings.add(mapping);
    await this.#tell((user) => user.add(mapping));
  }

  /** Resolves when every backend leaves the mapping alone. */
  async remove(mapping: SharedMapping): Promise<void> {
    // Whoever starts from now on does not hear of it.
    if (!this.#mappings.delete(mapping)) return;
    mapping.fd[Symbol.dispose]();
    await this.#tell((user) => user.remove(mapping));
  }

  async #tell(what: (user: MappingUser) => Promise<void>): Promise<void> {
    // A backend that is lost over it has said so already, and does not hold up the others.
    await Promise.allSettled([...this.#users].map(what));
  }

  /** The machine is at its end: nobody is told any more. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#users.clear();
    for (const { fd } of this.#mappings) fd[Symbol.dispose]();
    this.#mappings.clear();
  }
}
