import { type Fd, listenUnix, OsError, type Owned } from "../os/mod.ts";
import { RequestError } from "../msg/mod.ts";
import { type Dialer, directly } from "./dialer.ts";
import { MachineError } from "./outcome.ts";
import { removeStaleSocket } from "./stale_socket.ts";

/** What stands for the ports of a guest's host: the sockets `PATH_PORT`, and `PATH` for the way to the guest. */
export class HostPorts implements Disposable {
  readonly path: string;
  /** Programs of the host connect to it. It outlives the worker that accepts them. */
  readonly listener: Owned<Fd>;
  readonly #dialer: Dialer;

  /** @throws {MachineError} when nobody can listen at the path */
  constructor(path: string, dialer: Dialer = directly) {
    this.path = path;
    this.#dialer = dialer;
    dialer.admit(`${path}_`, { numbered: true });
    removeStaleSocket(path);
    try {
      this.listener = listenUnix(path);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new MachineError("usage", `${error.message}.`);
    }
  }

  /** A new connection to a port. @throws RequestError `unreachable` */
  connect(port: number): Owned<Fd> {
    const path = `${this.path}_${port}`;
    try {
      return this.#dialer.connect(path);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new RequestError("unreachable", `port ${port}: ${error.message}`);
    }
  }

  /** The path goes, too. */
  [Symbol.dispose](): void {
    this.listener[Symbol.dispose]();
    try {
      Deno.removeSync(this.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
