import type { Fd, Owned } from "../os/mod.ts";

/** What a peer sent. It owns the descriptors in it, and closes those that were not taken by `move()`. */
export class Received<T> implements Disposable {
  readonly #fds: readonly Owned<Fd>[];

  constructor(readonly body: T, fds: readonly Owned<Fd>[]) {
    this.#fds = fds;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
  }
}
