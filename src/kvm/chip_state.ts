import { struct, u32 } from "../codec/mod.ts";
import { Irqchip } from "./gsi_route.ts";
import { perform } from "./perform.ts";
import { VmRequest } from "./requests.ts";
import type { Vm } from "./vm.ts";

/** Head of struct kvm_irqchip, which the chip's own registers follow. */
const ChipHead = struct({ chip: u32, padding: u32 });
/** Bytes of struct kvm_irqchip and struct kvm_pit_state2. */
export const CHIP_SIZE = 520;
export const PIT_SIZE = 112;

/** The interrupt controllers and the timer in the kernel; what is in them is KVM's affair. */
export interface ChipState {
  /** Both PICs and the IOAPIC, each of {@linkcode CHIP_SIZE} bytes. */
  readonly irqchips: readonly Uint8Array[];
  /** {@linkcode PIT_SIZE} bytes. */
  readonly pit: Uint8Array;
}

const CHIPS = [Irqchip.PicMaster, Irqchip.PicSlave, Irqchip.Ioapic];

/** Reads the chips of a VM whose vCPUs do not run. */
export function saveChips(vm: Vm): ChipState {
  const irqchips = CHIPS.map((chip) => {
    const data = new Uint8Array(CHIP_SIZE);
    data.set(ChipHead.encode({ chip }));
    perform(vm.fd, VmRequest.GetIrqchip, data, "read", "an interrupt controller");
    return data;
  });
  const pit = new Uint8Array(PIT_SIZE);
  perform(vm.fd, VmRequest.GetPit, pit, "read", "the PIT");
  return { irqchips, pit };
}

/** Sets the chips of a new VM, when its vCPUs are as they were: the IOAPIC delivers at once what waits in it. */
export function loadChips(vm: Vm, { irqchips, pit }: ChipState): void {
  perform(vm.fd, VmRequest.SetPit, pit.slice(), "set", "the PIT");
  for (const [i, chip] of CHIPS.entries()) {
    const data = irqchips[i].slice();
    data.set(ChipHead.encode({ chip }));
    perform(vm.fd, VmRequest.SetIrqchip, data, "set", "an interrupt controller");
  }
}
