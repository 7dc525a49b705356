import type { MachineEvent, MachineEvents } from "../bus/mod.ts";
import { Outcome, type OutcomeKind } from "./outcome.ts";
import { Command, type VcpuControl } from "./vcpu_control.ts";

const OUTCOME_OF: Readonly<Record<MachineEvent, OutcomeKind>> = {
  "power-off": Outcome.PowerOff,
  "reset": Outcome.Reset,
  "panic": Outcome.Panic,
};

/** Machine events of devices that a vCPU's thread services: they end its loop. */
export function eventsOf(control: VcpuControl): MachineEvents {
  return {
    raise: (event) => control.finish(OUTCOME_OF[event]),
    get stopping() {
      return control.command === Command.Quit;
    },
  };
}
