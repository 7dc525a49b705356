import { type Fd, type Owned, socketPair } from "../os/mod.ts";

/** The two ends of a virtio console's byte stream; they outlive the guest's reboots. */
export class ConsoleSocket implements Disposable {
  readonly host: Owned<Fd>;
  /** For the worker. */
  readonly guest: Owned<Fd>;

  constructor() {
    [this.host, this.guest] = socketPair();
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
    this.guest[Symbol.dispose]();
  }
}
