import { AgentError, AgentProtocolError } from "./agent_error.ts";
import { type AgentConnection, concat, u32, viewOf } from "./connection.ts";
import { OutputStream } from "./output_stream.ts";
import { type Frame, FrameType, INPUT_WINDOW } from "./protocol.ts";
import { MAX_SIGNAL, signalName, signalNumber } from "./signals.ts";

/** Most bytes of one output that are on their way or not read yet. */
const OUTPUT_WINDOW = 1 << 20;
/** Most bytes of input in a frame. */
const INPUT_CHUNK = 65_536;

/**
 * Size of a terminal, in characters.
 *
 * @example
 * ```ts
 * const size: TerminalSize = { rows: 24, columns: 80 };
 * ```
 */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/**
 * A command for a guest.
 *
 * @example
 * ```ts
 * const options: GuestCommandOptions = { user: "nobody", env: { LANG: "C.UTF-8" }, cwd: "/tmp" };
 * ```
 */
export interface GuestCommandOptions {
  /** `USER` or `USER:GROUP`, by name or number; by default the agent's own, root. */
  readonly user?: string;
  /** Variables on top of PATH, HOME, USER, LOGNAME, SHELL, and with a terminal TERM. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs; by default the user's home. */
  readonly cwd?: string;
  /** Gives it a terminal of that size, where standard error is standard output. */
  readonly terminal?: TerminalSize;
}

/**
 * How a command has ended.
 *
 * @example
 * ```ts
 * const killed: GuestStatus = { status: 143, signal: "SIGTERM" };
 * ```
 */
export interface GuestStatus {
  /** Its exit status; 128 and the signal's number when it was killed, as shells have it. */
  readonly status: number;
  /** The signal that killed it. */
  readonly signal?: string;
}

/**
 * A command that runs in a guest. Who does not read its output makes it wait, like a pipe.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * using cat = await vm.spawn(["cat"]);
 * const input = cat.stdin.getWriter();
 * await input.write(new TextEncoder().encode("hello"));
 * await input.close();
 * console.log(await new Response(cat.stdout).text(), (await cat.status).status);
 * ```
 */
export class GuestProcess implements Disposable {
  /** Standard input. Closing it is the end of file. */
  readonly stdin: WritableStream<Uint8Array>;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** Resolves when it has ended. @throws {AgentError} when that is never known, since the VM or its agent has ended */
  readonly status: Promise<GuestStatus>;

  readonly #connection: AgentConnection;
  readonly #output: OutputStream;
  readonly #errors: OutputStream;
  /** Bytes that the agent may still send of each, and those that were read since it was told. */
  readonly #credit = [OUTPUT_WINDOW, OUTPUT_WINDOW];
  readonly #read = [0, 0];
  #inputCredit = 0;
  #inputOpen = true;
  #wakeInput = () => {};
  #over = false;

  private constructor(connection: AgentConnection) {
    this.#connection = connection;
    this.#output = new OutputStream((length) => this.#wasRead(0, length));
    this.#errors = new OutputStream((length) => this.#wasRead(1, length));
    this.stdout = this.#output.readable;
    this.stderr = this.#errors.readable;
    this.stdin = new WritableStream({
      write: (bytes) => this.#write(bytes),
      close: () => this.#closeInput(),
      abort: () => this.#closeInput(),
    });
    this.status = this.#follow();
    this.status.catch(() => {});
  }

  /**
   * Starts a command.
   *
   * @param connection becomes the process's
   * @throws {AgentError} when it cannot be run
   */
  static async start(
    connection: AgentConnection,
    command: readonly string[],
    { user, env = {}, cwd, terminal }: GuestCommandOptions = {},
  ): Promise<GuestProcess> {
    try {
      if (command.length === 0) throw new AgentError("There is no command to run.");
      for (const word of command) await connection.sendText(FrameType.Argument, word);
      for (const [name, value] of Object.entries(env)) {
        await connection.sendText(FrameType.Variable, `${name}=${value}`);
      }
      if (user !== undefined) await connection.sendText(FrameType.User, user);
      if (cwd !== undefined) await connection.sendText(FrameType.Directory, cwd);
      if (terminal !== undefined) await connection.send(FrameType.Terminal, sizeBytes(terminal));
      await connection.send(FrameType.Execute, concat(u32(OUTPUT_WINDOW), u32(OUTPUT_WINDOW)));
      const { type } = await connection.next();
      if (type !== FrameType.Started) throw unexpected(type);
      return new GuestProcess(connection);
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /** Sends it a signal: its process group, or who is in the foreground of its terminal. */
  kill(signal: string = "SIGTERM"): void {
    this.#tell(FrameType.Signal, u32(signalNumber(signal)));
  }

  /** Says that its terminal has another size. */
  resize(size: TerminalSize): void {
    this.#tell(FrameType.Terminal, sizeBytes(size));
  }

  /** Leaves it: a command that still runs is hung up, and killed if it goes on. */
  [Symbol.dispose](): void {
    this.#end(new AgentError("The command was left while it ran."));
    this.#connection[Symbol.dispose]();
  }

  /** Who is gone need not be told. */
  #tell(type: number, payload: Uint8Array): void {
    if (!this.#over) this.#connection.send(type, payload).catch(() => {});
  }

  async #follow(): Promise<GuestStatus> {
    try {
      for (;;) {
        const status = this.#take(await this.#connection.next());
        if (status === undefined) continue;
        this.#end();
        return status;
      }
    } catch (error) {
      this.#end(error);
      throw error;
    } finally {
      this.#connection[Symbol.dispose]();
    }
  }

  /** Takes a frame; a status when it was the last. */
  #take({ type, payload }: Frame): GuestStatus | undefined {
    switch (type) {
      case FrameType.Output:
        this.#arrive(0, this.#output, payload);
        break;
      case FrameType.Errors:
        this.#arrive(1, this.#errors, payload);
        break;
      case FrameType.InputCredit:
        this.#inputCredit += payload.length < 4 ? Infinity : viewOf(payload).getUint32(0, true);
        if (this.#inputCredit > INPUT_WINDOW) {
          throw new AgentProtocolError("it wants too much input");
        }
        this.#wakeInput();
        break;
      case FrameType.InputClosed:
        this.#inputOpen = false;
        this.#wakeInput();
        break;
      case FrameType.Exited:
        return statusOf(payload);
      default:
        throw unexpected(type);
    }
  }

  #arrive(index: 0 | 1, stream: OutputStream, payload: Uint8Array): void {
    if (payload.length === 0) return stream.end();
    this.#credit[index] -= payload.length;
    if (this.#credit[index] < 0) throw new AgentProtocolError("it sends more than it may");
    stream.push(payload);
  }

  #wasRead(index: 0 | 1, length: number): void {
    this.#read[index] += length;
    if (this.#over || this.#read[index] < OUTPUT_WINDOW / 4) return;
    const credit = [0, 0];
    credit[index] = this.#read[index];
    this.#credit[index] += credit[index];
    this.#read[index] = 0;
    this.#tell(FrameType.Credit, concat(u32(credit[0]), u32(credit[1])));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      while (this.#inputCredit === 0 && this.#inputOpen) {
        await new Promise<void>((resolve) => this.#wakeInput = resolve);
      }
      if (!this.#inputOpen) throw new Deno.errors.BrokenPipe("The command reads no more.");
      const length = Math.min(bytes.length - at, this.#inputCredit, INPUT_CHUNK);
      this.#inputCredit -= length;
      await this.#connection.send(FrameType.Input, bytes.subarray(at, at + length));
      at += length;
    }
  }

  async #closeInput(): Promise<void> {
    if (!this.#inputOpen) return;
    this.#inputOpen = false;
    // The command may have ended by itself.
    await this.#connection.send(FrameType.Input).catch(() => {});
  }

  #end(failure?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#inputOpen = false;
    this.#wakeInput();
    this.#output.end(failure);
    this.#errors.end(failure);
  }
}

function statusOf(payload: Uint8Array): GuestStatus {
  if (payload.length < 8) throw new AgentProtocolError("it does not say how the command ended");
  const status = viewOf(payload).getUint32(0, true);
  const signal = viewOf(payload).getUint32(4, true);
  if (status > 255 || signal > MAX_SIGNAL) {
    throw new AgentProtocolError("no command ends like that");
  }
  return signal === 0 ? { status } : { status: 128 + signal, signal: signalName(signal) };
}

function sizeBytes({ rows, columns }: TerminalSize): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint16(0, rows, true);
  viewOf(bytes).setUint16(2, columns, true);
  return bytes;
}

function unexpected(type: number): AgentError {
  return new AgentProtocolError(`it sent a frame of type ${type}`);
}
