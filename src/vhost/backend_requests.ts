import type { Transport } from "../msg/mod.ts";
import { Events, type Fd, pollOne } from "../os/mod.ts";
import type { SharedMemoryMapper } from "../virtio/mod.ts";
import { messageBytes } from "./message_bytes.ts";
import { type IncomingHeader, MessageReader } from "./message_reader.ts";
import { SharedMemoryMapping, U64 } from "./payloads.ts";
import { BackendMessage, HeaderFlags, SharedMemoryFlags } from "./protocol.ts";
import { ProtocolError, type Violation } from "./protocol_error.ts";

/** A frontend that takes longer than this to answer is not asked again. It may be waiting for other backends, 5 s each time. */
const PATIENCE_MS = 30_000;

/**
 * The way on which a backend asks its frontend for something ("Back-end communication"). What wants an answer blocks:
 * a device goes on only when its memory is where its driver will look.
 */
export class BackendRequests implements Disposable, SharedMemoryMapper {
  readonly #transport: Transport;
  readonly #reader: MessageReader;
  readonly #log: (text: string) => void;
  #failed = false;

  /** @param transport of what SetBackendReqFd brought; moves in here */
  constructor(transport: Transport, log: (text: string) => void) {
    this.#transport = transport;
    this.#log = log;
    this.#reader = new MessageReader(transport, broke, checkHeader);
  }

  /** Says that the config space is another now. */
  announceConfigChange(): void {
    this.#transport.send(messageBytes(BackendMessage.ConfigChange, 0), []);
  }

  map(
    region: number,
    offset: number,
    fd: Fd,
    what: { readonly fdOffset: number; readonly length: number; readonly writable: boolean },
  ): boolean {
    const { fdOffset, length, writable } = what;
    const flags = writable ? SharedMemoryFlags.Writable : SharedMemoryFlags.ReadOnly;
    const mapping = SharedMemoryMapping.encode({ region, offset, fdOffset, length, flags });
    return this.#ask(BackendMessage.ShmemMap, mapping, [fd]);
  }

  unmap(region: number, offset: number, length: number): boolean {
    const mapping = SharedMemoryMapping.encode({ region, offset, length });
    return this.#ask(BackendMessage.ShmemUnmap, mapping, []);
  }

  /** Whether the frontend did it. */
  #ask(request: number, payload: Uint8Array, fds: readonly Fd[]): boolean {
    if (this.#failed) return false;
    try {
      const message = messageBytes(request, HeaderFlags.NeedReply, payload);
      // Nothing else waits in this socket: a message that does not fit was not read by anyone.
      if (this.#transport.send(message, fds) === message.length) return this.#answer(request);
      this.#log("the frontend does not take requests of its backend");
    } catch (error) {
      this.#log(error instanceof Error ? error.message : String(error));
    }
    this.#failed = true;
    return false;
  }

  #answer(request: number): boolean {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const message = this.#reader.read();
      if (message === "closed") throw broke(request, "truncated", "it hung up");
      if (message !== "later") {
        for (const fd of message.fds) fd[Symbol.dispose]();
        if (message.request !== request) {
          throw broke(request, "wrong-message", `an answer to message ${message.request} came`);
        }
        return U64.decode(message.payload).value === 0n;
      }
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) throw broke(request, "unexpected", `no answer within ${PATIENCE_MS} ms`);
      pollOne(this.#transport.fd, Events.In, left);
    }
  }

  [Symbol.dispose](): void {
    this.#failed = true;
    this.#reader[Symbol.dispose]();
    this.#transport[Symbol.dispose]();
  }
}

function checkHeader({ request, flags, size }: IncomingHeader): void {
  if ((flags & HeaderFlags.Reply) === 0 || size !== U64.size) {
    throw broke(request, "wrong-size", `${size} bytes with flags ${flags} are no answer`);
  }
}

function broke(
  request: number | undefined,
  violation: Violation,
  detail: string,
): ProtocolError {
  return new ProtocolError("frontend", request, violation, detail, "backend");
}
