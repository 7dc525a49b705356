import { encodeList } from "./lists.ts";
import { IrqRoutingEntry, RouteType } from "./structures.ts";

/** Where a GSI leads: to a pin of an in-kernel interrupt controller, or to an MSI. */
export type GsiRoute =
  | { gsi: number; kind: "irqchip"; chip: number; pin: number }
  | { gsi: number; kind: "msi"; address: number; addressHigh: number; data: number };

/** kvm_irq_routing_irqchip.irqchip. */
export const Irqchip = {
  /** KVM_IRQCHIP_PIC_MASTER */ PicMaster: 0,
  /** KVM_IRQCHIP_PIC_SLAVE */ PicSlave: 1,
  /** KVM_IRQCHIP_IOAPIC */ Ioapic: 2,
} as const;

/** Pins of the IOAPIC; GSIs below this number are its pins, so MSI routes begin here. */
export const IOAPIC_PINS = 24;
const ISA_LINES = 16;
const PIC_PINS = 8;

/**
 * The routes that KVM_CREATE_IRQCHIP sets up: GSI n is IOAPIC pin n, the first 16 are ISA lines of the
 * PICs too. The in-kernel PIT raises GSI 0. KVM_SET_GSI_ROUTING replaces all, so MSI routes are added to these.
 */
export function defaultGsiRoutes(): GsiRoute[] {
  const routes: GsiRoute[] = [];
  for (let gsi = 0; gsi < IOAPIC_PINS; gsi++) {
    if (gsi < ISA_LINES) {
      const chip = gsi < PIC_PINS ? Irqchip.PicMaster : Irqchip.PicSlave;
      routes.push({ gsi, kind: "irqchip", chip, pin: gsi % PIC_PINS });
    }
    routes.push({ gsi, kind: "irqchip", chip: Irqchip.Ioapic, pin: gsi });
  }
  return routes;
}

/** struct kvm_irq_routing with its entries. */
export function encodeRoutes(routes: readonly GsiRoute[]): Uint8Array<ArrayBuffer> {
  return encodeList(
    IrqRoutingEntry,
    routes.map((route) =>
      route.kind === "irqchip"
        ? { gsi: route.gsi, type: RouteType.Irqchip, word0: route.chip, word1: route.pin }
        : {
          gsi: route.gsi,
          type: RouteType.Msi,
          word0: route.address,
          word1: route.addressHigh,
          word2: route.data,
        }
    ),
  );
}
