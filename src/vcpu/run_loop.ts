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
}

/**
 * Runs a vCPU until the control thread says `Quit` or the guest ends its machine. Exits are serviced here, under the
 * locks of the devices that they concern; nothing in this loop allocates.
 */
export function runVcpu({ vcpu, control, ports, mmio, window }: RunContext): void {
  const { run } = vcpu;
  while (control.outcome === Outcome.None) {
    const command = control.command;
    if (command === Command.Quit) return;
    if (command === Command.Park) {
      run.immediateExit = false;
      control.state = ThreadState.Parked;
      control.waitWhileParked();
      control.state = ThreadState.Running;
      continue;
    }
    const result = vcpu.enter();
    if (result < 0) {
      if (result !== -Errno.EINTR && result !== -Errno.EAGAIN) {
        control.finish(Outcome.RunFailed, -result);
      }
      continue;
    }
    const reason = run.exitReason;
    control.count(reason);
    switch (reason) {
      case ExitReason.Io:
        servicePorts(vcpu, ports);
        break;
      case ExitReason.Mmio:
        serviceMemory(vcpu, mmio, window.view);
        break;
      case ExitReason.Interrupted:
        break;
      case ExitReason.Shutdown:
        control.finish(Outcome.TripleFault);
        break;
      case ExitReason.SystemEvent:
        control.finish(...systemOutcome(run.systemEvent));
        break;
      case ExitReason.FailEntry:
        control.finish(Outcome.FailEntry, Number(run.failEntryReason & 0xffff_ffffn));
        break;
      case ExitReason.InternalError:
        control.finish(Outcome.InternalError, run.internalError);
        break;
      default:
        control.finish(Outcome.UnknownExit, reason);
    }
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
