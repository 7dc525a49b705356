import {
  Errno,
  type ExitStatus,
  type Fd,
  MessageFlags,
  OsError,
  type Owned,
  payload,
  processDescriptor,
  type Reactor,
  reap,
  receiveMessage,
  sendMessage,
  socketPair,
  SocketType,
  spawnStarter,
} from "../os/mod.ts";
import { jailOf, prepareJails, type SandboxMode } from "./jail.ts";
import type { Policy } from "./policy.ts";
import { StartError } from "./start_error.ts";
import { StarterPaths } from "./starter_paths.ts";
import {
  Answer,
  ANSWER_DESCRIPTORS,
  AnswerPacket,
  encodePath,
  encodeStart,
  KillRequest,
  type PathRequest,
  PROGRAM_TARGET,
  Request,
  SealRequest,
  stageOf,
} from "./starter_protocol.ts";

/** What to start, and with what exactly. */
export interface StartOptions {
  /** The program by its absolute path, and its arguments. */
  readonly argv: readonly string[];
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Descriptors and the numbers they get. The caller keeps its own. */
  readonly descriptors?: readonly { readonly fd: Fd; readonly as: number }[];
  /** How many descriptors the process may have; 256 when left out, 200 to 65536. */
  readonly openFiles?: number;
  /** Where output and errors go; otherwise to the monitor's standard error. */
  readonly stderr?: Fd;
  /** What its jail is; without one it is confined in nothing but what all are. */
  readonly policy?: Policy;
  /** The program itself, when it has no path that lasts; `argv[0]` is then just a name. */
  readonly program?: Fd;
}

/** What it could not do, by the kind of request. */
const DOING: Readonly<Record<number, string>> = {
  [Request.Connect]: "connect to",
  [Request.Save]: "make",
};

/** What suffices a process of a few descriptors. */
const OPEN_FILES = 256;

interface Pending {
  readonly program: string;
  readonly started: PromiseWithResolvers<Child>;
}

/** What the starter says. */
interface Said {
  readonly kind: number;
  readonly id: number;
  readonly a: number;
  readonly b: number;
  readonly fds: Owned<Fd>[];
}

/** A running process. */
export class Child {
  /** How it ended. When the starter itself dies, its children are killed: `{ signal: 9 }`. */
  readonly exited: Promise<ExitStatus>;
  readonly #kill: (signal: number) => void;

  constructor(readonly pid: number, exited: Promise<ExitStatus>, kill: (signal: number) => void) {
    this.exited = exited;
    this.#kill = kill;
  }

  /** Sends a signal; does nothing when the process has ended. */
  kill(signal = 9): void {
    this.#kill(signal);
  }
}

/**
 * The monitor's end of the starter (`ffi/starter.c`): starts processes that hold nothing but what they
 * are given. They die with the starter, and the starter with the monitor.
 */
export class Starter implements Disposable {
  /** The starter's own process id. */
  readonly pid: number;
  /** What it is watched with. */
  readonly reactor: Reactor;
  /** How much of a policy it enforces. */
  readonly sandbox: SandboxMode;
  /** Sockets and snapshots, for a monitor that may open no paths. */
  readonly paths = new StarterPaths(
    (request, fds) => this.#ask(request, fds),
    (request) => void this.#send(encodePath(0, request)),
  );
  readonly #socket: Owned<Fd>;
  readonly #process: Owned<Fd>;
  readonly #buffer = new Uint8Array(AnswerPacket.size);
  readonly #pending = new Map<number, Pending>();
  readonly #running = new Map<number, PromiseWithResolvers<ExitStatus>>();
  readonly #gone = Promise.withResolvers<void>();
  #lastId = 0;

  private constructor(
    pid: number,
    socket: Owned<Fd>,
    reactor: Reactor,
    sandbox: SandboxMode,
  ) {
    this.pid = pid;
    this.sandbox = sandbox;
    this.reactor = reactor;
    this.#socket = socket;
    this.#process = processDescriptor(pid);
    reactor.add(this.#socket, () => this.#receive());
    reactor.add(this.#process, () => this.#ended());
  }

  /**
   * Runs the starter. Call it early, while little is open, and on the main thread: it dies with the
   * thread that made it.
   */
  static spawn(reactor: Reactor, sandbox: SandboxMode = "full"): Starter {
    const [ours, theirs] = socketPair(SocketType.SeqPacket);
    using _closed = theirs;
    prepareJails();
    return new Starter(spawnStarter(payload().starter, theirs), ours, reactor, sandbox);
  }

  /**
   * Starts a process.
   *
   * @throws StartError with the stage that failed
   * @throws RangeError when there are too many arguments or descriptors
   */
  start(options: StartOptions): Promise<Child> {
    const program = options.argv[0] ?? "nothing";
    const fds: Fd[] = [];
    const targets: number[] = [];
    const give = (fd: Fd, as: number) => {
      fds.push(fd);
      targets.push(as);
    };
    for (const { fd, as } of options.descriptors ?? []) {
      if (!Number.isInteger(as) || as < 0) throw new RangeError(`No descriptor number: ${as}`);
      give(fd, as);
    }
    if (options.stderr !== undefined) give(options.stderr, 2);
    if (options.program !== undefined) give(options.program, PROGRAM_TARGET);
    const id = ++this.#lastId;
    const environment = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
    const { argv, openFiles = OPEN_FILES, policy } = options;
    const jail = policy === undefined ? {} : jailOf(policy, this.sandbox, this.pid);
    const packet = encodeStart(id, { argv, environment, targets, openFiles, ...jail });
    const started = Promise.withResolvers<Child>();
    this.#pending.set(id, { program, started });
    if (!this.#send(packet, fds)) this.#fail(id, new StartError(program, "starter", 0));
    return started.promise;
  }

  /** From here on only what was started before is started again: the same, but for which descriptors it is given. */
  seal(): void {
    this.#send(SealRequest.encode({ kind: Request.Seal, id: 0 }));
  }

  /** Ends the starter and with it everything it started; resolves when it is gone. */
  close(): Promise<void> {
    this.#socket[Symbol.dispose]();
    return this.#gone.promise;
  }

  #send(packet: Uint8Array, fds: readonly Fd[] = []): boolean {
    return !this.#socket.closed && sendMessage(this.#socket, packet, fds) === packet.length;
  }

  #kill(id: number, signal: number): void {
    if (!this.#running.has(id)) return;
    this.#send(KillRequest.encode({ kind: Request.Kill, id, signal }));
  }

  /** Waits for the answer, which comes at once; others that come before it are for who waits for them. */
  #ask(request: PathRequest, fds: readonly Fd[] = []): Owned<Fd>[] {
    const wanted = ++this.#lastId;
    if (this.#send(encodePath(wanted, request), fds)) {
      for (let said; (said = this.#next(0)) !== undefined;) {
        if (said.kind !== Answer.Done || said.id !== wanted) {
          this.#answered(said);
        } else if (said.a === 0) {
          return said.fds;
        } else {
          throw new OsError(DOING[request.kind] ?? "finish", request.path ?? "a snapshot", said.a);
        }
      }
    }
    throw new OsError("reach", "the starter", Errno.EPIPE);
  }

  #receive(): void {
    for (let said; (said = this.#next(MessageFlags.DontWait)) !== undefined;) this.#answered(said);
  }

  /** What it says next; undefined when it says nothing, yet or any more. */
  #next(flags: number): Said | undefined {
    if (this.#socket.closed) return undefined;
    const { length, fds } = receiveMessage(this.#socket, this.#buffer, ANSWER_DESCRIPTORS, flags);
    if (length === AnswerPacket.size) return { ...AnswerPacket.decode(this.#buffer), fds };
    // Closed or nonsense: its end follows, or is brought about.
    if (length !== -Errno.EAGAIN) this.#socket[Symbol.dispose]();
    return undefined;
  }

  #answered({ kind, id, a, b }: Said): void {
    const pending = this.#pending.get(id);
    if (kind === Answer.Started && pending !== undefined) {
      const exited = Promise.withResolvers<ExitStatus>();
      this.#running.set(id, exited);
      this.#pending.delete(id);
      pending.started.resolve(new Child(a, exited.promise, (signal) => this.#kill(id, signal)));
    } else if (kind === Answer.Failed && pending !== undefined) {
      this.#fail(id, new StartError(pending.program, stageOf(b), a));
    } else if (kind === Answer.Exited) {
      this.#running.get(id)?.resolve(b === 0 ? { status: a } : { signal: b });
      this.#running.delete(id);
    }
  }

  #fail(id: number, error: StartError): void {
    this.#pending.get(id)?.started.reject(error);
    this.#pending.delete(id);
  }

  /** The starter's process has ended, at our wish or not. */
  #ended(): void {
    // Answers that it sent before it ended may still wait in the socket.
    this.#receive();
    this.#socket[Symbol.dispose]();
    this.#process[Symbol.dispose]();
    reap(this.pid);
    for (const [id, { program }] of [...this.#pending]) {
      this.#fail(id, new StartError(program, "starter", 0));
    }
    for (const exited of this.#running.values()) exited.resolve({ signal: 9 });
    this.#running.clear();
    this.#gone.resolve();
  }

  /** As {@link close}, without waiting. The reactor must still turn for a moment to see the end. */
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
