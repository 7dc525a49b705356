import type { AccessSize, MmioBus, PortBus } from "../bus/mod.ts";
import { ExitReason, SystemEvent, type Vcpu } from "../kvm/mod.ts";
import { Errno, type Window } from "../os/mod.ts";
import { Outcome, type OutcomeKind } from "./outcome.ts";
import { Command, ThreadState, type VcpuControl } from "./vcpu_control.ts";

/** What one vCPU's loop works on; all of it belongs to the calling thread. */
export interface RunContext {
  readonly vcpu: Vcpu;
  readonly control: VcpuControl;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly window: Window;
  /** Tells the control thread that the vCPU rests. */
  readonly parked: () => void;
}

/**
 * Runs a vCPU until the control thread says `Quit` or the guest ends its machine. Exits are serviced here, under the
 * locks of the devices that they concern; nothing in this loop allocates.
 */
export function runVcpu(context: RunContext): void {
  const { vcpu, control, parked } = context;
  const { run } = vcpu;
  let entered = false;
  while (control.outcome === Outcome.None) {
    // Before the command is read: who gives one says so first and asks for an exit afterwards.
    run.immediateExit = false;
    const command = control.command;
    if (command === Command.Quit) return;
    const park = command === Command.Park;
    // What the last exit left pending, such as the value of an IN, gets into the registers by one more entry.
    if (park) run.immediateExit = true;
    const result = park && !entered ? -Errno.EINTR : vcpu.enter();
    entered = true;
    if (result === 0) {
      service(context);
    } else if (result !== -Errno.EINTR && result !== -Errno.EAGAIN) {
      control.finish(Outcome.RunFailed, -result);
    } else if (park) {
      control.state = ThreadState.Parked;
      parked();
      control.waitWhileParked();
      control.state = ThreadState.Running;
    }
  }
}

/** Does what the guest left KVM_RUN for. */
function service({ vcpu, control, ports, mmio, window }: RunContext): void {
  const { run } = vcpu;
  const reason = run.exitReason;
  control.count(reason);
  switch (reason) {
    case ExitReason.Io:
      return servicePorts(vcpu, ports);
    case ExitReason.Mmio:
      return serviceMemory(vcpu, mmio, window.view);
    case ExitReason.Interrupted:
      return;
    case ExitReason.Shutdown:
      return control.finish(Outcome.TripleFault);
    case ExitReason.SystemEvent:
      return control.finish(...systemOutcome(run.systemEvent));
    case ExitReason.FailEntry:
      return control.finish(Outcome.FailEntry, Number(run.failEntryReason & 0xffff_ffffn));
    case ExitReason.InternalError:
      return control.finish(Outcome.InternalError, run.internalError);
    default:
      return control.finish(Outcome.UnknownExit, reason);
  }
}

/** IN and OUT, and their string forms, which come as several accesses to one port. */
function servicePorts({ run }: Vcpu, ports: PortBus): void {
  const port = run.ioPort;
  const size = run.ioSize as AccessSize;
  const count = run.ioCount;
  if (run.ioIsWrite) {
    for (let i = 0; i < count; i++) ports.write(port, size, run.ioValue(i));
  } else {
    for (let i = 0; i < count; i++) run.setIoValue(ports.read(port, size), i);
  }
}

function serviceMemory({ run }: Vcpu, mmio: MmioBus, view: DataView): void {
  if (run.mmioIsWrite) mmio.writeFrom(run.mmioAddress, run.mmioSize, view, run.mmioData);
  else mmio.readInto(run.mmioAddress, run.mmioSize, view, run.mmioData);
}

function systemOutcome(event: number): [OutcomeKind, number] {
  if (event === SystemEvent.Shutdown) return [Outcome.PowerOff, 0];
  if (event === SystemEvent.Reset) return [Outcome.Reset, 0];
  if (event === SystemEvent.Crash) return [Outcome.Panic, 0];
  return [Outcome.UnknownExit, ExitReason.SystemEvent];
}
