import type { Fd, Owned } from "../os/mod.ts";

/**
 * Memory in which a backend notes what it is working on ("Inflight I/O tracking"), so that its
 * successor can go on. The backend made it and only backends map it: it may vanish under whoever
 * does. It outlives the connection; whoever has it owns its descriptor.
 */
export class InflightRegion implements Disposable {
  constructor(
    readonly fd: Owned<Fd>,
    /** Bytes of it. */
    readonly mmapSize: number,
    /** Where it starts in the descriptor's memory. */
    readonly mmapOffset: number,
    /** For so many queues of that size it was made. */
    readonly queueCount: number,
    readonly queueSize: number,
  ) {}

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}
