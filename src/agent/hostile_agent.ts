/** For tests: an agent that says what it is told to. */

import { AgentConnection, concat, u32 } from "./connection.ts";
import { FrameType, MAGIC } from "./protocol.ts";

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
export const frame = (type: number, payload: Uint8Array = new Uint8Array()): Uint8Array =>
  concat(u32(payload.length), u32(type), payload);
export const hello: Uint8Array = frame(FrameType.Hello, concat(encode(MAGIC), u32(1)));

/** Says what it was told to whoever connects, and then closes or says nothing more. */
export class HostileAgent implements AsyncDisposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "spectrum-hostile-" });
  readonly socket = `${this.dir}/vsock.sock`;
  readonly #listener = Deno.listen({ transport: "unix", path: this.socket });
  readonly #open: Deno.UnixConn[] = [];
  says: readonly Uint8Array[] = [];
  answer = encode("OK 5\n");
  closes = true;

  constructor() {
    void this.#serve();
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#open.push(connection);
      void this.#talk(connection).catch(() => {});
    }
  }

  async #talk(connection: Deno.UnixConn): Promise<void> {
    const all = concat(this.answer, ...this.says);
    for (let at = 0; at < all.length;) at += await connection.write(all.subarray(at));
    if (this.closes) await connection.closeWrite();
    // Reads until the host has enough.
    const buffer = new Uint8Array(65_536);
    while (await connection.read(buffer) !== null);
    connection.close();
  }

  async connect(): Promise<AgentConnection> {
    return await AgentConnection.open(this.socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) {
      try {
        connection.close();
      } catch {
        // It is already.
      }
    }
    await Deno.remove(this.dir, { recursive: true });
  }
}
