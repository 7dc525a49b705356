import {
  Fd,
  fileStat,
  forbidNewCode,
  ignoreInspectorSignal,
  type Owned,
  useLibrary,
  VirtioWl,
  Window,
} from "../os/mod.ts";
import {
  BlockingPeer,
  type ReceivedBody,
  RequestError,
  unixTransport,
  virtioWlTransport,
} from "../msg/mod.ts";
import {
  escapeAttempts,
  lockDown,
  makesNoCode,
  permissionsLeft,
  type Policy,
} from "../sandbox/mod.ts";
import { DeviceLoop, type Link, localLink } from "../vhost/mod.ts";
import type { VirtioDevice } from "../virtio/mod.ts";
import { NetDevice, NetEndError } from "./net/mod.ts";
import { guestCalls } from "./guest_calls.ts";
import { HostPorts } from "./host_ports.ts";
import { openDevice, openNetEnd } from "./open_device.ts";
import { policies } from "./policies.ts";
import type { DoorbellDirection } from "./wl/mod.ts";
import { MESSAGE_SOCKET, monitorMessages, workerMessages } from "./worker_messages.ts";

type SetUp = ReceivedBody<typeof workerMessages, "setUp">;
type ReplaceEnd = ReceivedBody<typeof workerMessages, "replaceEnd">;
type Monitor = BlockingPeer<typeof monitorMessages, typeof workerMessages>;

/** How long the monitor may take to do what a guest asks for. */
const PATIENCE_MS = 5000;

/**
 * The worker: one device, for the frontend at the other end of a socket. It starts with its message socket and nothing
 * else; what it is comes as the first message. It ends with its frontend, if it has just one: with 0 when that hangs
 * up, with 1 when it breaks the protocol. It always ends when its monitor closes the message socket.
 */
class Worker {
  readonly #monitor: Monitor;
  readonly #ports = new HostPorts((wish, port) =>
    this.#monitor.note("connectPort", { wish, port })
  );
  readonly #log: (text: string) => void;
  /** What is left to do when the set-up has been answered. */
  #serve: (() => number | Promise<number>) | undefined;
  #device: { readonly implementation: VirtioDevice; readonly window: Window } | undefined;
  #failed = false;

  constructor(log: (text: string) => void) {
    this.#log = log;
    const socket = Fd.inherited(MESSAGE_SOCKET);
    if (!fileStat(socket).isSocket) {
      throw new Error(
        `a worker is started by its monitor: descriptor ${MESSAGE_SOCKET} is no socket`,
      );
    }
    this.#monitor = new BlockingPeer(unixTransport(socket), {
      calls: monitorMessages,
      serves: workerMessages,
      handlers: {
        setUp: (setUp) => this.#setUp(setUp),
        replaceEnd: (message) => this.#replaceEnd(message),
        portConnected: ({ wish, socket }) => this.#ports.answered(wish, socket?.move()),
      },
      onFault: (error) => log(describe(error)),
    });
  }

  /** @returns the exit status */
  run(): number | Promise<number> {
    while (this.#serve === undefined && !this.#failed) {
      if (!this.#monitor.wait()) {
        this.#log(`it was not set up: ${this.#monitor.ended?.message}`);
        return 1;
      }
    }
    return this.#serve?.() ?? 1;
  }

  #setUp({ device, frontend, otherCalls }: SetUp): null {
    if (this.#serve !== undefined) {
      throw new RequestError("unusable", "the worker is set up already");
    }
    this.#failed = true;
    try {
      const window = Window.reserve();
      const log = this.#log;
      const implementation = openDevice(device, window, {
        log,
        openContext: (name) => this.#openContext(name),
        onThrottled: (throttled) => this.#monitor.note("throttled", throttled),
        connectPort: (port, answer) => this.#ports.connect(port, answer),
        bindDoorbell: (slot, event, direction) => this.#bindDoorbell(slot, event, direction),
        unbindDoorbell: (slot) => this.#monitor.note("unbindDoorbell", { slot }),
      });
      const loop = new DeviceLoop(implementation, {
        window,
        log,
        link: frontend.how === "context" ? guestLink(frontend.device.move()) : localLink,
        control: { fd: this.#monitor.fd, ready: () => this.#listen() },
      });
      this.#device = { implementation, window };
      const serve = serveFrontend(loop, frontend);
      if (makesNoCode(policies[device.kind])) forbidNewCode();
      if (otherCalls === "allow") lockDown();
      else lockDown(callsOf(device.kind, frontend.how), otherCalls);
      this.#serve = serve;
    } catch (error) {
      // The monitor tells it to whoever made the configuration.
      throw error instanceof RequestError ? error : new RequestError("unusable", describe(error));
    }
    return null;
  }

  #replaceEnd({ end }: ReplaceEnd): null {
    const { implementation, window } = this.#device ?? {};
    if (window === undefined || !(implementation instanceof NetDevice)) {
      throw new RequestError("unusable", "this is no network device");
    }
    // Whatever comes of it, nobody is at the old one.
    implementation.replaceEnd(undefined);
    if (end === undefined) return null;
    try {
      implementation.replaceEnd(openNetEnd(end, window, this.#log));
    } catch (error) {
      if (!(error instanceof NetEndError)) throw error;
      throw new RequestError("unusable", error.message);
    }
    return null;
  }

  /** The guest waits for it, and so does everybody else meanwhile. */
  #openContext(name: string): Owned<Fd> | "unknown" | "unreachable" {
    try {
      using answer = this.#monitor.request("openContext", { name }, PATIENCE_MS);
      return answer.body.socket.move();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return error.code === "unknown" ? "unknown" : "unreachable";
    }
  }

  #bindDoorbell(
    slot: number,
    event: Fd,
    direction: DoorbellDirection,
  ): "bound" | "refused" | "unknown" {
    try {
      const body = { slot, event: event.borrow(), direction };
      using _answer = this.#monitor.request("bindDoorbell", body, PATIENCE_MS);
      return "bound";
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return error.code === "refused" ? "refused" : "unknown";
    }
  }

  /** Deals with what the monitor wants later; false when it is gone. */
  #listen(): boolean {
    this.#monitor.receive();
    return this.#monitor.ended === undefined;
  }
}

/** What it may still do. Who is to report what the runtime refuses has to get so far. */
function callsOf(kind: SetUp["device"]["kind"], how: SetUp["frontend"]["how"]): Policy["calls"] {
  if (how === "report") return [];
  const { calls } = policies[kind];
  return how === "context" ? [...guestCalls, ...calls] : calls;
}

function serveFrontend(
  loop: DeviceLoop,
  frontend: SetUp["frontend"],
): () => number | Promise<number> {
  if (frontend.how === "report") return reportLock;
  if (frontend.how === "context") {
    const context = frontend.context.move();
    return () => loop.serve(context) ? 0 : 1;
  }
  if (!fileStat(frontend.socket).isSocket) {
    throw new RequestError("unusable", "the connection is not a socket");
  }
  const socket: Owned<Fd> = frontend.socket.move();
  if (frontend.how === "connected") return () => loop.serve(socket) ? 0 : 1;
  return () => {
    loop.serveEach(socket);
    return 0;
  };
}

/** The way from a guest to its host. Each region is a VFD of the guest, of which there are few for all that it does. */
function guestLink(device: Owned<Fd>): Link {
  const wl = VirtioWl.own(device);
  return {
    // Kicks and calls, all of them.
    transport: (context) => virtioWlTransport(context, { hasDoorbells: true }),
    allocate: (_name, size) => wl.memory(size),
    memorySlots: 64,
  };
}

/** Tries what a worker must not be able to do, and prints what came of it. */
async function reportLock(): Promise<number> {
  const report = { left: permissionsLeft(), attempts: await escapeAttempts() };
  console.log(`REPORT ${JSON.stringify(report)} END`);
  return 0;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function main(kind: string): void {
  useLibrary("worker");
  ignoreInspectorSignal();
  // The kind is among the arguments for those who look at a list of processes; nothing depends on it.
  const log = (text: string) => console.error(`spectrum device ${kind}: ${text}`);
  let status: number | Promise<number>;
  try {
    status = new Worker(log).run();
  } catch (error) {
    log(describe(error));
    status = 1;
  }
  if (typeof status === "number") Deno.exit(status);
  status.then((code) => Deno.exit(code));
}

main(Deno.args[0] ?? "");
