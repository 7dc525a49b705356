import { join } from "node:path";
import type { Log, VmControl } from "../machine/mod.ts";
import { Reactor } from "../os/mod.ts";
import { handle } from "./handle.ts";
import { type HttpPatience, serveConnection } from "./http/mod.ts";
import { serveConsole } from "./serve_console.ts";
import { UnixServer } from "./unix_server.ts";

/** Names in a VM's runtime directory. */
export const CONTROL_SOCKET = "control.sock";
export const CONSOLE_SOCKET = "console.sock";

/** Connections at a time. */
const CONTROL_LIMIT = 64;
const CONSOLE_LIMIT = 16;

const BUSY = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n" +
  'connection: close\r\n\r\n{"error":{"code":"http","message":"too many connections"}}\n';

/** For how long answers that are on their way may take when the VM has ended, in milliseconds. */
const FAREWELL = 1000;

/** What a control server needs beside its VM. */
export interface ControlServerOptions {
  /** The VM's runtime directory, which is nobody else's while it runs. */
  readonly dir: string;
  readonly log: Log;
  readonly patience?: HttpPatience;
}

/** Serves a running VM's control API and its console at sockets in its runtime directory. */
export class ControlServer implements AsyncDisposable {
  // Its own: what clients do must not stand in the way of the VM's devices.
  readonly #reactor = new Reactor();
  readonly #api: UnixServer;
  readonly #console: UnixServer;

  /** @throws {OsError} when the sockets cannot be made */
  constructor(vm: VmControl, { dir, log, patience }: ControlServerOptions) {
    const about = log.for({ component: "control" });
    const refused = (why: string) => about.warn(`a connection is refused: ${why}`);
    using undo = new DisposableStack();
    undo.use(this.#reactor);
    this.#api = new UnixServer(this.#reactor, {
      path: join(dir, CONTROL_SOCKET),
      limit: CONTROL_LIMIT,
      busy: BUSY,
      serve: (stream) =>
        serveConnection(stream, (request, signal) => handle(vm, request, signal), patience),
      refused,
    });
    this.#console = new UnixServer(this.#reactor, {
      path: join(dir, CONSOLE_SOCKET),
      limit: CONSOLE_LIMIT,
      busy: "[spectrum: this console has too many viewers]\r\n",
      serve: (stream) => serveConsole(stream, vm.console),
      refused,
    });
    undo.move();
  }

  /** Ends all connections; those that wait for a VM that has ended are told so first. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#api.close(FAREWELL), this.#console.close(FAREWELL)]);
    this.#reactor[Symbol.dispose]();
  }
}
