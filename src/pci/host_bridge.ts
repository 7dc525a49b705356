import type { StateArena } from "../bus/mod.ts";
import { ConfigImageBuilder } from "./config_image.ts";
import { ConfigSpace } from "./config_space.ts";
import { type FunctionBase, PciFunction } from "./pci_function.ts";

/** The generic PCI Express host bridge among Red Hat's ids, which no driver of a guest has quirks for. */
const IDENTITY = { vendor: 0x1b36, device: 0x0008, classCode: 0x06_0000 } as const;

/** Puts the host bridge's state into `arena`: 00:00.0, by which guests know that there is a bus. */
export function createHostBridge(arena: StateArena): FunctionBase {
  const image = new ConfigImageBuilder(IDENTITY).build();
  const state = arena.allocate(PciFunction.stateSize, 64);
  new ConfigSpace(arena.state, state + PciFunction.configAt, image).reset();
  return { slot: 0, image, bars: [], state };
}
