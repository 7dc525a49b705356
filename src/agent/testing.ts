import { join } from "node:path";
import { payload } from "../os/mod.ts";
import { AgentConnection } from "./connection.ts";
import { AGENT_PORT, VSOCK_SOCKET } from "./protocol.ts";

/** The agent as a process of this machine, behind a socket that speaks as a vsock device's does. */
export class TestAgent implements AsyncDisposable {
  /** Path of the device's socket. */
  readonly socket: string;
  readonly #child: Deno.ChildProcess;
  readonly #listener: Deno.Listener<Deno.UnixConn>;
  readonly #own: string;
  readonly #open = new Set<Deno.UnixConn>();

  private constructor(socket: string, own: string, child: Deno.ChildProcess) {
    this.socket = socket;
    this.#own = own;
    this.#child = child;
    this.#listener = Deno.listen({ transport: "unix", path: socket });
    void this.#serve(join(own, "agent.sock"));
  }

  /** @param dir where the device's socket is to be; by default a folder of its own */
  static async start(dir?: string): Promise<TestAgent> {
    const own = await Deno.makeTempDir({ prefix: "spectrum-agent-" });
    const path = join(own, "agent.sock");
    const child = new Deno.Command(payload().agent, {
      args: ["--unix", path],
      stdin: "null",
      clearEnv: true,
    }).spawn();
    for (let attempt = 0; attempt < 500; attempt++) {
      try {
        (await Deno.connect({ transport: "unix", path })).close();
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    return new TestAgent(join(dir ?? own, VSOCK_SOCKET), own, child);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** A connection to it. */
  async connect(): Promise<AgentConnection> {
    return await AgentConnection.open(this.socket);
  }

  /** Ends every connection, as the death of a VM does. */
  drop(): void {
    for (const connection of this.#open) close(connection);
  }

  async #serve(path: string): Promise<void> {
    for await (const host of this.#listener) void this.#relay(host, path).catch(() => {});
  }

  async #relay(host: Deno.UnixConn, path: string): Promise<void> {
    this.#open.add(host);
    const wanted = `CONNECT ${AGENT_PORT}\n`;
    const said = new Uint8Array(wanted.length);
    for (let at = 0; at < said.length;) at += await host.read(said.subarray(at)) ?? said.length;
    if (new TextDecoder().decode(said) !== wanted) return close(host);
    const guest = await Deno.connect({ transport: "unix", path });
    this.#open.add(guest);
    await host.write(new TextEncoder().encode("OK 1073741824\n"));
    // A connection of a VM that ends is closed both ways.
    await Promise.race([pass(host, guest), pass(guest, host)]);
    for (const connection of [host, guest]) {
      this.#open.delete(connection);
      close(connection);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.drop();
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await Deno.remove(this.#own, { recursive: true });
  }
}

async function pass(from: Deno.UnixConn, to: Deno.UnixConn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) return;
      for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
    }
  } catch {
    // Closed under us.
  }
}

function close(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch {
    // It is already.
  }
}
