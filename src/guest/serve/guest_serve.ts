import { Events, type Fd, OsError, type Owned, Reactor, VirtioWl } from "../../os/mod.ts";
import {
  AsyncPeer,
  type ReceivedBody,
  RequestError,
  SendError,
  type SentBody,
  virtioWlTransport,
} from "../../msg/mod.ts";
import {
  CONFIG_CONTEXT,
  guestMessages,
  type Log,
  MachineError,
  type OpenedDevice,
  openServed,
  providerMessages,
  startWorker,
} from "../../machine/mod.ts";
import { type Child, type SandboxMode, Starter } from "../../sandbox/mod.ts";
import { shareInterface } from "./shared_interface.ts";

type Served = ReceivedBody<typeof guestMessages, "serve">;
type Host = AsyncPeer<typeof providerMessages, typeof guestMessages>;

/** How long a device may take to end after its frontend hung up, in milliseconds. */
const PATIENCE_MS = 3000;

/**
 * In a VM that provides devices: starts them as its monitor says, until that wants the guest to power off.
 *
 * @param sandbox how much of a jail they get besides the VM around them; all of it when left out
 * @throws {MachineError} when this guest has no such monitor, or the monitor goes away
 */
export async function guestServe(log: Log, sandbox?: SandboxMode): Promise<void> {
  using reactor = new Reactor();
  await using guest = new Guest(reactor, log, sandbox);
  await guest.over;
}

class Guest implements AsyncDisposable {
  /** Resolves when the guest is to power off. */
  readonly over: Promise<void>;
  readonly #reactor: Reactor;
  readonly #log: Log;
  readonly #starter: Starter;
  readonly #wl: VirtioWl;
  readonly #host: Host;
  #closed = false;

  constructor(reactor: Reactor, log: Log, sandbox?: SandboxMode) {
    const runtimeMs = Number(Deno.env.get("SPECTRUM_RUNTIME_MS") ?? 0);
    const initMs = Number(Deno.env.get("SPECTRUM_INIT_MS") ?? 0);
    this.#reactor = reactor;
    this.#log = log;
    this.#starter = Starter.spawn(reactor, sandbox);
    const over = Promise.withResolvers<void>();
    this.over = over.promise;
    [this.#wl, this.#host] = this.#connect(over);
    this.#host.note("hello", { initMs, runtimeMs, readyMs: uptime() });
  }

  #connect(over: PromiseWithResolvers<void>): [VirtioWl, Host] {
    try {
      const wl = VirtioWl.open();
      const host: Host = new AsyncPeer(
        virtioWlTransport(wl.context(CONFIG_CONTEXT)),
        this.#reactor,
        {
          calls: providerMessages,
          serves: guestMessages,
          handlers: {
            serve: (served, { signal }) => this.#serve(served, signal),
            powerOff: () => over.resolve(),
          },
          onEnd: (error) =>
            over.reject(new MachineError("host", `The monitor is gone: ${error.message}.`)),
        },
      );
      return [wl, host];
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new MachineError("host", `This is no guest that provides devices: ${error.message}.`);
    }
  }

  async #serve({ context: name, attempt, device }: Served, signal: AbortSignal): Promise<null> {
    using given = new DisposableStack();
    using kept = new DisposableStack();
    const context = given.use(this.#open(name));
    // While we hold it, the other VM knows that its memory is in use here.
    using held = context.dup();
    const opened = open(device, given, kept);
    const worker = await startWorker(
      this.#starter,
      opened.device,
      { how: "context", context: context.borrow(), device: this.#wl.fd.borrow() },
      { ...opened.services, log: this.#log },
    );
    this.#watch({ context: name, attempt }, held.move(), worker.child, kept.move());
    // The monitor has lost its patience.
    signal.addEventListener("abort", () => worker.child.kill());
    try {
      await worker.ready;
    } catch (error) {
      if (error instanceof RequestError) throw error;
      // How it ended is told when it has.
      throw new RequestError("unusable", "the device ended before it served");
    }
    return null;
  }

  #open(name: string): Owned<Fd> {
    try {
      return this.#wl.context(name);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new RequestError("unusable", error.message);
    }
  }

  /** A device ends with its frontend; one that does not is ended. */
  #watch(
    served: Pick<Served, "context" | "attempt">,
    held: Owned<Fd>,
    child: Child,
    kept: DisposableStack,
  ): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const unwatch = this.#reactor.add(held, (events) => {
      if ((events & (Events.HangUp | Events.Error)) === 0) return;
      unwatch();
      timer = setTimeout(() => child.kill(), PATIENCE_MS);
    }, 0);
    void child.exited.then((end) => {
      clearTimeout(timer);
      unwatch();
      kept[Symbol.dispose]();
      held[Symbol.dispose]();
      const how = "signal" in end
        ? `it ended by signal ${end.signal}`
        : end.status === 0
        ? ""
        : `it ended with status ${end.status}`;
      this.#tell({ ...served, how });
    });
  }

  #tell(ended: SentBody<typeof providerMessages, "ended">): void {
    // When all is over, nobody asks any more.
    if (this.#closed) return;
    try {
      this.#host.note("ended", ended);
    } catch (error) {
      if (!(error instanceof SendError)) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#host[Symbol.dispose]();
    await this.#starter.close();
    this.#wl[Symbol.dispose]();
  }
}

function open(
  device: Served["device"],
  given: DisposableStack,
  kept: DisposableStack,
): OpenedDevice {
  try {
    if (device.kind === "net") return openNet(device, given);
    return openServed(device, given, kept);
  } catch (error) {
    if (!(error instanceof MachineError)) throw error;
    throw new RequestError("unusable", error.message.replace(/\.$/, ""));
  }
}

function openNet(device: Served["device"] & { kind: "net" }, given: DisposableStack): OpenedDevice {
  const { tap, mtu } = shareInterface(device.interface);
  const queues = [given.use(tap).borrow()];
  const end = { kind: "tap", queues } as const;
  return { device: { kind: "net", mac: device.mac, mtu, pairs: 1, end }, services: {} };
}

/** Milliseconds since the kernel started. */
function uptime(): number {
  return Math.round(1000 * Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]));
}
