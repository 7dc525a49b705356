import { type Fd, openFile, type Owned, payload, socketPair } from "../os/mod.ts";
import {
  MESSAGE_SOCKET,
  monitorMessages,
  MOST_CONNECTIONS,
  policies,
  workerMessages,
  type WorkerSetUp,
} from "../devices/mod.ts";
import { AsyncPeer, type Lent, RequestError, unixTransport } from "../msg/mod.ts";
import { type Child, type Starter, StartError, workerEnvironment } from "../sandbox/mod.ts";
import { limited } from "../vhost/mod.ts";
import type { DoorbellHost } from "./doorbell_host.ts";
import { HostSockets } from "./host_sockets.ts";
import type { Log } from "./log.ts";
import { MachineError } from "./outcome.ts";

/** The signal of a filter of system calls. */
const SIGSYS = 31;

/** A device implementation and the descriptors that it is handed. */
export type WorkerDevice = Lent<WorkerSetUp["device"]>;

/** Where a worker finds its frontend: a connected socket, or one that listens. */
export type WorkerFrontend = Lent<WorkerSetUp["frontend"]>;

/** Sockets that a guest may open. */
export interface NamedSockets {
  readonly names: readonly string[];
  /** A new connection. @throws RequestError `unknown` or `unreachable` */
  open(name: string): Owned<Fd>;
}

/** What a worker may ask of its monitor while it runs. */
export interface WorkerServices {
  /** Sockets of the host that its guest may open; none by default. */
  readonly sockets?: NamedSockets;
  /** Connects to what stands for a port of the host; nobody is there by default. @throws RequestError `unreachable` */
  readonly connectPort?: (port: number) => Owned<Fd>;
  readonly doorbells?: DoorbellHost;
  /** Told what the device's limit holds back. */
  readonly onThrottled?: (throttled: { times: number; milliseconds: number }) => void;
  readonly log?: Log;
}

/** A device worker that runs. */
export interface Worker {
  readonly child: Child;
  /**
   * Resolves when the worker is locked and serves its frontend.
   *
   * Rejects with a RequestError `unusable` when what it was handed does not make such a device, with a
   * DisconnectedError when it ended before it could say.
   */
  readonly ready: Promise<void>;
  /**
   * Gives a network device another end.
   *
   * Rejects with a RequestError `unusable` when it is none, with a DisconnectedError when the worker has ended.
   */
  replaceEnd(end: NetEnd): Promise<void>;
}

/** Where a network device ends on the host. */
export type NetEnd = Extract<WorkerDevice, { kind: "net" }>["end"];

/**
 * Starts a device worker through the starter. What it is, and the descriptors for it, go as the first message of its
 * socket, which waits there while the process starts.
 */
export async function startWorker(
  starter: Starter,
  device: WorkerDevice,
  frontend: WorkerFrontend,
  services: WorkerServices = {},
): Promise<Worker> {
  const [ours, theirs] = socketPair();
  using _given = theirs;
  const { sockets = new HostSockets(), log } = services;
  const refuse = limited((reason) => log?.info(reason));
  const doorbells = services.doorbells?.open();
  const peer: AsyncPeer<typeof workerMessages, typeof monitorMessages> = new AsyncPeer(
    unixTransport(ours),
    starter.reactor,
    {
      calls: workerMessages,
      serves: monitorMessages,
      handlers: {
        openContext({ name }) {
          try {
            return { socket: sockets.open(name) };
          } catch (error) {
            if (error instanceof RequestError) refuse(error.message);
            throw error;
          }
        },
        connectPort({ wish, port }) {
          try {
            using socket = services.connectPort?.(port);
            peer.note("portConnected", { wish, socket: socket?.borrow() });
          } catch (error) {
            if (!(error instanceof RequestError)) throw error;
            refuse(error.message);
            peer.note("portConnected", { wish });
          }
        },
        throttled: (throttled) => services.onThrottled?.(throttled),
        bindDoorbell({ slot, event, direction }) {
          const use = direction === "read" ? "interrupt" : "page";
          const reason = doorbells === undefined
            ? "there are no doorbells"
            : doorbells.bind(slot, event.move(), use);
          if (reason === undefined) return null;
          refuse(`an event is relayed: ${reason}`);
          throw new RequestError("refused", reason);
        },
        unbindDoorbell: ({ slot }) => doorbells?.unbind(slot),
      },
      onFault: (error) => refuse(error instanceof Error ? error.message : String(error)),
    },
  );
  const otherCalls = starter.sandbox === "debug" ? "report" : "kill";
  const ready = peer.request("setUp", { device, frontend, otherCalls }).then((answer) =>
    answer[Symbol.dispose]()
  );
  // Whoever does not ask hears of a failure from the worker's end.
  ready.catch(() => {});
  const command = payload().device;
  try {
    // One executable is a worker by its name; its file may have been replaced since we started.
    using program = command[0].startsWith("/") ? undefined : openFile("/proc/self/exe");
    const policy = policies[device.kind];
    const child = await starter.start({
      argv: [...command, device.kind],
      env: workerEnvironment(policy),
      descriptors: [{ fd: theirs, as: MESSAGE_SOCKET }],
      program,
      policy,
      openFiles: openFilesOf(device),
    });
    void child.exited.then((end) => {
      if (!("signal" in end && end.signal === SIGSYS)) return;
      log?.error(
        `the ${device.kind} worker was killed for a system call that its policy lacks, or gave up by abort(); ` +
          "--sandbox debug names the call",
      );
    });
    const replaceEnd = async (end: NetEnd) => {
      using _answer = await peer.request("replaceEnd", { end });
    };
    return { child, ready, replaceEnd };
  } catch (error) {
    peer[Symbol.dispose]();
    if (!(error instanceof StartError)) throw error;
    const mend = error.mend === undefined ? "" : ` ${error.mend}`;
    throw new MachineError("host", `${error.message}.${mend}`);
  }
}

/** A virtual descriptor of a guest is one of the worker, or the two ends of a pipe; and one is kept while it is sent. */
function openFilesOf(device: WorkerDevice): number | undefined {
  if (device.kind === "vsock") return 256 + MOST_CONNECTIONS;
  return device.kind === "wl" ? 256 + 3 * device.vfds : undefined;
}
