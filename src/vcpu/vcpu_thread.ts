import { EventFd, Fd, kickThread, payload } from "../os/mod.ts";
import type { Vcpu } from "../kvm/mod.ts";
import { Outcome } from "./outcome.ts";
import type { ThreadStart } from "./thread_start.ts";
import { Command, ThreadState, type VcpuControl } from "./vcpu_control.ts";

/** The control thread's handle on the thread of one vCPU. */
export class VcpuThread {
  readonly #vcpu: Vcpu;
  /** The words that thread and control thread share. */
  readonly control: VcpuControl;
  readonly #failed = Promise.withResolvers<Error>();

  private constructor(vcpu: Vcpu, control: VcpuControl) {
    this.#vcpu = vcpu;
    this.control = control;
  }

  /** Gives a spare thread its vCPU, parked. */
  static start(
    worker: Worker,
    vcpu: Vcpu,
    control: VcpuControl,
    start: Omit<ThreadStart, "payload" | "vcpu">,
  ): VcpuThread {
    const thread = new VcpuThread(vcpu, control);
    worker.onerror = (event) => {
      event.preventDefault();
      thread.#failed.resolve(new Error(`The thread of vCPU ${vcpu.id} failed: ${event.message}`));
      // It may have failed before it could say so.
      control.finish(Outcome.ThreadFailed);
      control.state = ThreadState.Gone;
      EventFd.borrow(Fd.borrow(start.attention)).signal();
    };
    // Copied: some of it is told only when it is asked for, which does not go to another thread.
    const { device, serve, command, ...paths } = payload();
    const message: ThreadStart = {
      ...start,
      payload: {
        ...paths,
        device: [...device],
        serve: [...serve],
        command: [...command],
      },
      vcpu: vcpu.share(),
    };
    worker.postMessage(message);
    return thread;
  }

  /** Lets the vCPU run, unless it was told to quit. */
  run(): void {
    this.control.release();
  }

  /** Tells the thread to come out of the guest and rest; it is parked a moment later. */
  park(): void {
    this.control.hold();
    this.#kick();
  }

  /** Tells the thread to end and takes it out of the guest; it is gone a moment later. */
  quit(): void {
    this.control.command = Command.Quit;
    this.#kick();
  }

  /** What the thread died of; settles only after an outcome of `ThreadFailed`. */
  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  /** Whether the vCPU rests, with nothing pending, and its thread waits for {@linkcode run}. */
  get parked(): boolean {
    return this.control.command === Command.Park && this.control.state === ThreadState.Parked;
  }

  /** Whether the thread has ended, or does nothing any more but end. */
  get leaving(): boolean {
    return this.control.state >= ThreadState.Leaving;
  }

  get gone(): boolean {
    return this.control.state === ThreadState.Gone;
  }

  #kick(): void {
    // A kick that comes just before KVM_RUN would be lost; with this KVM_RUN returns at once.
    this.#vcpu.run.immediateExit = true;
    const { state, threadId } = this.control;
    if (threadId === 0 || state >= ThreadState.Leaving) return;
    try {
      kickThread(threadId);
    } catch (error) {
      // It may have ended since.
      if (!this.leaving) throw error;
    }
  }
}
