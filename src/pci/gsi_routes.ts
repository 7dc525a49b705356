import {
  BadState,
  type InterruptController,
  type SharedState,
  type StateArena,
  StateLock,
} from "../bus/mod.ts";
import { struct, u32 } from "../codec/mod.ts";
import { defaultGsiRoutes, IOAPIC_PINS } from "../kvm/mod.ts";

/** KVM_MAX_IRQ_ROUTES on x86. */
const MAX_ROUTES = 4096;
/** The fixed ones come first: 24 IOAPIC pins, of which 16 lead to the PICs, too. */
const FIXED_ROUTES = 40;

const Head = struct({ lock: u32, capacity: u32 });
const Route = struct({ used: u32, address: u32, addressHigh: u32, data: u32 });

/** More MSI vectors were asked for than a VM can route. */
export class TooManyVectors extends Error {
  override readonly name = "TooManyVectors";
  constructor(readonly vectors: number) {
    super(`${vectors} MSI-X vectors are more than KVM can route (${MAX_ROUTES - FIXED_ROUTES})`);
  }
}

/**
 * Where each MSI's GSI leads. KVM takes the table only as a whole, so it lives in shared state under one
 * lock of the machine, and whoever changes an entry hands all of it to KVM. The pins of the interrupt
 * controllers are always part of it.
 */
export class GsiRoutes {
  readonly #lock: StateLock;
  readonly #view: DataView;
  readonly #entries: number;
  readonly #capacity: number;
  readonly #controller: InterruptController;

  /** Sets state aside for `vectors` MSIs, whose GSIs begin at {@linkcode GsiRoutes.firstGsi}. Throws TooManyVectors. */
  static create(arena: StateArena, vectors: number): number {
    if (vectors > MAX_ROUTES - FIXED_ROUTES) throw new TooManyVectors(vectors);
    const offset = arena.allocate(Head.size + vectors * Route.size, 64);
    Head.at(arena.state.view, offset).capacity = vectors;
    return offset;
  }

  /** GSIs below are pins of the IOAPIC. */
  static readonly firstGsi = IOAPIC_PINS;

  constructor(state: SharedState, offset: number, controller: InterruptController) {
    this.#lock = new StateLock(state, offset + Head.offset.lock);
    this.#view = state.view;
    this.#capacity = Head.at(state.view, offset).capacity;
    this.#entries = offset + Head.size;
    this.#controller = controller;
  }

  /**
   * After the state was replaced by a saved one: hands the whole table to the new machine's KVM.
   *
   * @throws {BadState}
   */
  restored(): void {
    this.#lock.restored();
    const saved = Head.at(this.#view, this.#entries - Head.size).capacity;
    if (saved !== this.#capacity) {
      throw new BadState("the interrupt routes", `${saved} where there are ${this.#capacity}`);
    }
    this.#install();
  }

  /**
   * Lets `gsi` deliver this MSI. False when the host refuses the route; the others then stay as they were.
   */
  set(gsi: number, address: number, addressHigh: number, data: number): boolean {
    const index = gsi - GsiRoutes.firstGsi;
    if (index < 0 || index >= this.#capacity) return false;
    this.#lock.acquire();
    try {
      const route = Route.at(this.#view, this.#entries + index * Route.size);
      if (
        route.used === 1 && route.address === address && route.addressHigh === addressHigh &&
        route.data === data
      ) return true;
      route.used = 1;
      route.address = address;
      route.addressHigh = addressHigh;
      route.data = data;
      try {
        this.#install();
        return true;
      } catch {
        // Left in the table, a bad entry would make every other function's routes fail.
        route.used = 0;
        return false;
      }
    } finally {
      this.#lock.release();
    }
  }

  #install(): void {
    const routes = defaultGsiRoutes();
    for (let i = 0; i < this.#capacity; i++) {
      const { used, address, addressHigh, data } = Route.at(
        this.#view,
        this.#entries + i * Route.size,
      );
      if (used === 1) {
        routes.push({ gsi: GsiRoutes.firstGsi + i, kind: "msi", address, addressHigh, data });
      }
    }
    this.#controller.setGsiRouting(routes);
  }
}
