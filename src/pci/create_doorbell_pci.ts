import type { StateArena } from "../bus/mod.ts";
import { ConfigImageBuilder } from "./config_image.ts";
import { ConfigSpace } from "./config_space.ts";
import type { BarAllocator } from "./bar_allocator.ts";
import { DOORBELL_IDENTITY, MAX_DOORBELLS, PageBar, VectorBar } from "./doorbell_layout.ts";
import type { DoorbellPciDescription } from "./doorbell_pci.ts";
import { DoorbellSlots } from "./doorbell_slots.ts";
import { Msix } from "./msix.ts";
import { PciFunction } from "./pci_function.ts";

/** Puts the state of a doorbell function with so many slots into `arena`, its BARs into a window. */
export function createDoorbellPci(
  arena: StateArena,
  window: BarAllocator,
  slots: number,
  place: { readonly slot: number; readonly firstGsi: number },
): DoorbellPciDescription {
  if (!Number.isInteger(slots) || slots < 1 || slots > MAX_DOORBELLS) {
    throw new RangeError(`${slots} doorbells are not possible`);
  }
  const builder = new ConfigImageBuilder(DOORBELL_IDENTITY);
  const pages = 2 ** Math.ceil(Math.log2(slots * PageBar.pageSize));
  const bars = [
    { index: VectorBar.index, size: VectorBar.size },
    { index: PageBar.index, size: pages },
  ];
  for (const bar of bars) builder.bar({ ...bar, address: window.allocate(bar.size) });
  const capability = builder.msix(slots, VectorBar.index, VectorBar.table, VectorBar.pba);
  const image = builder.build();

  const state = arena.allocate(PciFunction.stateSize, 64);
  new ConfigSpace(arena.state, state + PciFunction.configAt, image).reset();
  return {
    slot: place.slot,
    image,
    bars,
    state,
    slots: DoorbellSlots.create(arena, slots),
    msix: Msix.create(arena, {
      vectors: slots,
      firstGsi: place.firstGsi,
      sources: slots,
      capability,
    }),
  };
}
