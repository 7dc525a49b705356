import {
  decodeFrames,
  encodeFrame,
  encodeSize,
  encodeSpawn,
  FrameType,
  MAX_FRAME_DATA,
  type SpawnFrame,
} from "./frames.ts";

/** A chunk of what a command wrote. */
export type OnOutput = (bytes: Uint8Array, stream: "stdout" | "stderr") => void;

/** A command that runs in the lab host. */
export class LabProcess {
  /** The exit status, or 128 + the signal that ended it. Rejects when the lab host dies. */
  readonly status: Promise<number>;
  readonly #send: (type: number, data: Uint8Array) => Promise<void>;

  constructor(status: Promise<number>, send: (type: number, data: Uint8Array) => Promise<void>) {
    this.status = status;
    this.#send = send;
  }

  /** The same command with another view of its status. */
  withStatus(status: Promise<number>): LabProcess {
    // Whoever started it may come to it late.
    status.catch(() => {});
    return new LabProcess(status, this.#send);
  }

  /** Writes to its standard input. */
  async write(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (let at = 0; at < bytes.length; at += MAX_FRAME_DATA) {
      await this.#send(FrameType.Stdin, bytes.subarray(at, at + MAX_FRAME_DATA));
    }
  }

  /** Closes its standard input; what was written before arrives first. */
  async closeInput(): Promise<void> {
    await this.#send(FrameType.Stdin, new Uint8Array(0));
  }

  /** Sends a signal to it and its children. */
  async signal(number: number): Promise<void> {
    await this.#send(FrameType.Signal, word(number));
  }

  /** Tells the new size of its terminal. */
  async resize(size: { rows: number; columns: number }): Promise<void> {
    await this.#send(FrameType.Resize, word(encodeSize(size)));
  }
}

interface Running {
  readonly onOutput: OnOutput;
  readonly resolve: (status: number) => void;
  readonly reject: (error: Error) => void;
}

/** The host's end of the agent's port. */
export class AgentClient {
  /** Resolves when the agent is there; rejects when the stream ends before. */
  readonly ready: Promise<void>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #running = new Map<number, Running>();
  #nextId = 1;
  #ended: Error | undefined;
  #onReady: () => void = () => {};
  #onDead: (error: Error) => void = () => {};

  /** @param whenEnded makes the error for commands that the end of the stream cuts off */
  constructor(
    input: WritableStream<Uint8Array>,
    output: AsyncIterable<Uint8Array>,
    whenEnded: () => Promise<Error>,
  ) {
    this.#writer = input.getWriter();
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#onDead = reject;
    });
    this.ready.catch(() => {});
    this.#receive(output).catch(() => {}).then(whenEnded).then((error) => this.#end(error));
  }

  /** Starts a command. */
  async spawn(spawn: SpawnFrame, onOutput: OnOutput): Promise<LabProcess> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId++;
    const status = new Promise<number>((resolve, reject) => {
      this.#running.set(id, { onOutput, resolve, reject });
    });
    // The caller may come to it late.
    status.catch(() => {});
    await this.#send(FrameType.Spawn, id, encodeSpawn(spawn));
    return new LabProcess(status, (type, data) => this.#send(type, id, data));
  }

  /** Asks for the machine to be powered off. */
  async powerOff(): Promise<void> {
    await this.#send(FrameType.PowerOff, 0, new Uint8Array(0));
  }

  async #send(type: number, id: number, data: Uint8Array): Promise<void> {
    try {
      await this.#writer.write(encodeFrame(type, id, data));
    } catch {
      // The port is gone with the machine, which each command's status reports.
    }
  }

  async #receive(output: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const { type, id, data } of decodeFrames(output)) {
      const running = this.#running.get(id);
      if (type === FrameType.Hello) this.#onReady();
      else if (type === FrameType.Stdout) running?.onOutput(data, "stdout");
      else if (type === FrameType.Stderr) running?.onOutput(data, "stderr");
      else if (type === FrameType.Exit) {
        const code = new DataView(data.buffer).getUint32(0, true);
        this.#running.delete(id);
        running?.resolve(code >= 256 ? 128 + code - 256 : code);
      } else if (type === FrameType.Failed) {
        this.#running.delete(id);
        running?.reject(
          new Error(`The lab's agent cannot run it: ${new TextDecoder().decode(data)}`),
        );
      }
    }
  }

  #end(error: Error): void {
    this.#ended = error;
    this.#onDead(error);
    for (const running of this.#running.values()) running.reject(error);
    this.#running.clear();
  }
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
