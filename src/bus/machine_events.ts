/** What a guest can ask of its machine by way of a register. */
export type MachineEvent = "reset" | "power-off" | "panic";

/** How a device tells the thread that runs it what the guest asked for; the vCPU's loop then ends. */
export interface MachineEvents {
  raise(event: MachineEvent): void;
  /** The machine is being stopped: nobody takes what devices give out any more, so nothing may wait for it. */
  readonly stopping: boolean;
}
