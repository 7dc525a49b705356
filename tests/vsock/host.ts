/**
 * Programs of the host in the tests of sockets. Run by itself: `host.ts echo PATH PORT`, `host.ts call PATH PORT N BYTES`,
 * `host.ts drop PATH PORT N`, `host.ts hold PATH PORT`.
 */

const AT_ONCE = 16;
const PIECE = 40_000;
/** A guest that reads it first closes at once. */
const CLOSE = 255;
const text = new TextEncoder();

/** A port of the guest refused the connection, or the guest has none. */
export class RefusedError extends Error {}

/** Connects to a port of a guest, as Firecracker and cloud-hypervisor have it. */
export async function connectGuest(path: string, port: number): Promise<Deno.UnixConn> {
  const connection = await Deno.connect({ transport: "unix", path });
  await writeAll(connection, text.encode(`CONNECT ${port}\n`));
  let line = "";
  for (const byte = new Uint8Array(1); !line.endsWith("\n");) {
    if (await connection.read(byte).catch(() => null) === null) {
      connection.close();
      throw new RefusedError(`port ${port} of the guest refuses`);
    }
    line += String.fromCharCode(byte[0]);
  }
  if (!/^OK \d+\n$/.test(line)) throw new Error(`the answer is ${JSON.stringify(line)}`);
  return connection;
}

/** Answers connections to a port of the host with what they send. */
export function echoAt(path: string, port: number): Deno.UnixListener {
  const listener = Deno.listen({ transport: "unix", path: `${path}_${port}` });
  void (async () => {
    for await (const connection of listener) void echo(connection).catch(() => {});
  })();
  return listener;
}

async function echo(connection: Deno.UnixConn): Promise<void> {
  using _closed = connection;
  const buffer = new Uint8Array(65536);
  for (let n; (n = await connection.read(buffer)) !== null;) {
    await writeAll(connection, buffer.subarray(0, n));
  }
  await connection.closeWrite();
}

/** Calls a port of the guest so often; each connection sends so many bytes and reads them back. Throws when one is wrong. */
export async function callGuest(
  path: string,
  port: number,
  count: number,
  bytes: number,
): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < count) {
      const seed = next++ % 200 + 1;
      using connection = await connectGuest(path, port);
      await exchange(connection, seed, bytes);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
}

const byteAt = (seed: number, i: number) => (seed + i * 7 + (i >>> 8)) & 0xff;

async function exchange(connection: Deno.UnixConn, seed: number, bytes: number): Promise<void> {
  const sending = (async () => {
    for (let at = 0; at < bytes; at += PIECE) {
      const length = Math.min(PIECE, bytes - at);
      await writeAll(connection, Uint8Array.from({ length }, (_, i) => byteAt(seed, at + i)));
    }
    await connection.closeWrite();
  })();
  const buffer = new Uint8Array(65536);
  let at = 0;
  for (let n; (n = await connection.read(buffer)) !== null;) {
    for (let i = 0; i < n; i++, at++) {
      if (buffer[i] !== byteAt(seed, at)) throw new Error(`byte ${at} is wrong`);
    }
  }
  await sending;
  if (at !== bytes) throw new Error(`${at} of ${bytes} bytes came back`);
}

/** Connections that break off in many ways. */
export async function dropGuest(path: string, port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    using connection = await connectGuest(path, port);
    // One guest closes at once, another echoes what nobody reads.
    await writeAll(connection, new Uint8Array(3000).fill(i % 2 === 0 ? CLOSE : 1));
    if (i % 4 === 1) await connection.closeWrite();
  }
}

/** Keeps a connection until it ends; tells how that comes. */
export async function holdGuest(path: string, port: number, onHeld: () => void): Promise<string> {
  using connection = await connectGuest(path, port);
  onHeld();
  try {
    const buffer = new Uint8Array(65536);
    while (await connection.read(buffer) !== null);
    return "end";
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

async function writeAll(connection: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function main([what, path, port, count, bytes]: readonly string[]): Promise<void> {
  const numbers = [port, count, bytes].map(Number);
  switch (what) {
    case "echo":
      echoAt(path, numbers[0]);
      console.log("@@echoes");
      return await new Promise(() => {});
    case "call":
      await callGuest(path, numbers[0], numbers[1], numbers[2]);
      console.log(`@@called ${count}`);
      break;
    case "drop":
      await dropGuest(path, numbers[0], numbers[1]);
      console.log(`@@dropped ${count}`);
      break;
    case "hold":
      console.log(`@@ended ${await holdGuest(path, numbers[0], () => console.log("@@held"))}`);
      break;
    default:
      throw new Error(`${what} is nothing that this program does`);
  }
}

if (import.meta.main) {
  await main(Deno.args);
  Deno.exit(0);
}
