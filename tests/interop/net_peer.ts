/**
 * What guests talk to, run in a network namespace: on port 7001 it sends as many bytes as its first argument says,
 * on port 7002 it takes bytes and prints their hash, on port 53 (UDP) it says that every name is 10.1.2.3.
 */

import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";

const CHUNK = 2 ** 16;

/** Bytes that differ everywhere; the same for the same place. */
function pattern(from: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(CHUNK / 4);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(from / 4 + i, 0x9e3779b1);
  return new Uint8Array(words.buffer);
}

async function give(connection: Deno.TcpConn, size: number): Promise<void> {
  const writer = connection.writable.getWriter();
  for (let at = 0; at < size; at += CHUNK) {
    await writer.write(pattern(at).subarray(0, size - at));
  }
  await writer.close();
}

async function take(connection: Deno.TcpConn): Promise<void> {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of connection.readable) {
    hash.update(chunk);
    length += chunk.length;
  }
  console.log(`${length} ${hash.digest("hex")}`);
}

async function serve(port: number, use: (connection: Deno.TcpConn) => Promise<void>) {
  for await (const connection of Deno.listen({ hostname: "0.0.0.0", port })) {
    use(connection).catch((error) => console.error(error.message));
  }
}

/** An answer to each DNS query: the question, and an address record that points back to its name. */
function answerNames(port: number): void {
  const socket = createSocket("udp4");
  socket.on("message", (query, { address, port }) => {
    // Behind its name, which ends with an empty label, a question has four bytes: type and class.
    const end = query.indexOf(0, 12) + 5;
    const isAddress = query.readUInt16BE(end - 4) === 1;
    const head = [query[0], query[1], 0x81, 0x80, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0];
    const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 1, 2, 3];
    const question = query.subarray(12, end);
    socket.send(
      Uint8Array.from([...head, ...question, ...(isAddress ? record : [])]),
      port,
      address,
    );
  });
  socket.bind(port, "0.0.0.0");
}

if (import.meta.main) {
  const size = Number(Deno.args[0]);
  answerNames(53);
  const all = [serve(7001, (connection) => give(connection, size)), serve(7002, take)];
  console.log("ready");
  await Promise.all(all);
}

/** The hash of what it sends on port 7001. */
export function givenHash(size: number): string {
  const hash = createHash("sha256");
  for (let at = 0; at < size; at += CHUNK) hash.update(pattern(at).subarray(0, size - at));
  return hash.digest("hex");
}
