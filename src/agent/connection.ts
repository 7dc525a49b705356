import { AgentError, AgentLostError, AgentProtocolError } from "./agent_error.ts";
import { FrameReader } from "./frame_reader.ts";
import {
  AGENT_PORT,
  type Frame,
  FrameType,
  MAGIC,
  MAX_PAYLOAD,
  PROTOCOL_VERSION,
} from "./protocol.ts";

/** Longest answer to `CONNECT`: `OK PORT`, with a port of 32 bits. */
const MAX_ANSWER = 16;
/** Up to this length a payload is copied behind its header rather than sent by itself. */
const SMALL = 4096;

/** A stream to the host's side of a VM's vsock device. */
export type AgentStream = Pick<Deno.Conn, "read" | "write" | "close">;

/**
 * How such a stream is had: the path of the device's Unix socket, or what connects to it, and throws Deno.errors.NotFound
 * when the VM has no such device, ConnectionRefused when nobody listens there.
 */
export type AgentSocket = string | (() => AgentStream);

/**
 * A connection to a guest's agent, which has one request. Frames go out in order; one at a time may wait for what comes
 * in, of which only the length is checked here.
 */
export class AgentConnection implements Disposable {
  readonly #connection: AgentStream;
  readonly #reader: FrameReader;
  #sending: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(connection: AgentStream) {
    this.#connection = connection;
    this.#reader = new FrameReader(connection);
  }

  /**
   * Connects once, through the host's side of a VM's vsock device.
   *
   * @param signal ends the attempt
   * @throws {AgentLostError} when nobody listens in the guest, yet or any more
   * @throws {Deno.errors.NotFound} when the VM has no such device
   */
  static async open(socket: AgentSocket, signal?: AbortSignal): Promise<AgentConnection> {
    const conn =
      await (typeof socket === "string"
        ? Deno.connect({ transport: "unix", path: socket })
        : socket());
    const connection = new AgentConnection(conn);
    const abort = () => connection[Symbol.dispose]();
    signal?.addEventListener("abort", abort);
    try {
      await connection.#greet();
      signal?.throwIfAborted();
      return connection;
    } catch (error) {
      connection[Symbol.dispose]();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async #greet(): Promise<void> {
    await this.#write(new TextEncoder().encode(`CONNECT ${AGENT_PORT}\n`));
    const answer = await this.#reader.line(MAX_ANSWER);
    if (!/^OK \d+$/.test(answer)) throw new AgentProtocolError(`it said ${JSON.stringify(answer)}`);
    await this.send(FrameType.Hello, concat(encode(MAGIC), u32(PROTOCOL_VERSION)));
    const { type, payload } = await this.next();
    const magic = new TextDecoder().decode(payload.subarray(0, MAGIC.length));
    if (type !== FrameType.Hello || payload.length < MAGIC.length + 4 || magic !== MAGIC) {
      throw new AgentProtocolError("it does not say what an agent says first");
    }
    const version = viewOf(payload).getUint32(MAGIC.length, true);
    if (version === PROTOCOL_VERSION) return;
    throw new AgentError(
      `The guest's agent speaks version ${version} of the protocol, this program version ${PROTOCOL_VERSION}. ` +
        "Install the agent of this program in the guest: spectrum guest agent --output FILE.",
    );
  }

  /** Sends a frame; resolves when it is on its way. @throws {AgentLostError} */
  async send(type: number, payload: Uint8Array = new Uint8Array()): Promise<void> {
    if (payload.length > MAX_PAYLOAD) {
      throw new AgentError(
        `A word of ${payload.length} bytes is longer than a program can be given.`,
      );
    }
    const header = concat(u32(payload.length), u32(type));
    const sent = this.#sending.then(async () => {
      if (payload.length <= SMALL) return await this.#write(concat(header, payload));
      await this.#write(header);
      await this.#write(payload);
    });
    this.#sending = sent.catch(() => {});
    await sent;
  }

  /** Sends a frame with a text. */
  async sendText(type: number, text: string): Promise<void> {
    await this.send(type, encode(text));
  }

  /** The next frame. @throws {AgentError} also when the agent says that the request failed, with what it says */
  async next(): Promise<Frame> {
    const frame = await this.#reader.next();
    if (frame.type === FrameType.Failed) throw failure(frame.payload);
    return frame;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    } catch (error) {
      throw new AgentLostError({ cause: error });
    }
  }

  /** Closes it; whoever waits for something gets an error. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
  }
}

function failure(payload: Uint8Array): AgentError {
  if (payload.length < 4) return new AgentProtocolError("it failed without a reason");
  const status = viewOf(payload).getUint32(0, true);
  const text = printable(new TextDecoder().decode(payload.subarray(4)));
  return new AgentError(text, status === 126 || status === 127 ? status : 125);
}

/** A text of the guest's as it may stand on a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "?").slice(0, 4096);
}

/** Bytes after one another. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A number in 32 bits, little endian. */
export function u32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
