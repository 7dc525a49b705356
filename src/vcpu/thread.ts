/**
 * The entry of a vCPU's thread, a Web Worker: builds its own device objects over the machine's shared state and runs
 * the vCPU until the machine ends.
 */

import { SharedState } from "../bus/mod.ts";
import { Vcpu, Vm } from "../kvm/mod.ts";
import { buildPlatform } from "../pci/mod.ts";
import { EventFd, Fd, filterCalls, threadId, Window } from "../os/mod.ts";
import { eventsOf } from "./control_events.ts";
import { Outcome } from "./outcome.ts";
import { runVcpu } from "./run_loop.ts";
import type { ThreadStart } from "./thread_start.ts";
import { ThreadState, VcpuControl } from "./vcpu_control.ts";

addEventListener("message", (event) => runThread((event as MessageEvent<ThreadStart>).data));

function runThread(start: ThreadStart): void {
  globalThis.spectrumPayload = start.payload;
  const state = new SharedState(start.state);
  const control = new VcpuControl(state, start.control);
  const attention = EventFd.borrow(Fd.borrow(start.attention));
  try {
    control.threadId = threadId();
    const window = Window.join(start.window);
    const vm = Vm.borrow(start.vm);
    const platform = buildPlatform(start.platform, { state, vm, events: eventsOf(control) });
    const { ports, mmio } = platform;
    const vcpu = Vcpu.borrow(start.vcpu, window);
    if (start.filter !== undefined) filterCalls(start.filter, "own");
    runVcpu({ vcpu, control, ports, mmio, window, parked: () => attention.signal() });
  } catch (error) {
    control.finish(Outcome.ThreadFailed);
    // The control thread gets it as the worker's error event, which `close` would swallow.
    throw error;
  } finally {
    control.state = ThreadState.Leaving;
    attention.signal();
    // From here on nothing that is shared may be touched: the machine may be taken apart.
    control.state = ThreadState.Gone;
  }
  // The last thing that this thread does: nothing runs behind it.
  close();
}
