/**
 * The host's side: `on_host.ts FOLDER COUNT SEED` serves one connection to each of FOLDER's sockets `up` (messages from the
 * guest), `down` (messages to it) and `exchange`, in this order, and prints a line of JSON for each.
 */
import { acceptUnix, listenUnix } from "../../../src/os/mod.ts";
import { type Transport, unixTransport } from "../../../src/msg/mod.ts";
import { NumberedFiles } from "../../interop/messages/numbered_files.ts";
import { receiveWorkload } from "../../interop/messages/receive_workload.ts";
import { sendWorkload } from "../../interop/messages/send_workload.ts";
import { exchange } from "./exchange.ts";

const [folder, count, seed] = [Deno.args[0], ...Deno.args.slice(1).map(Number)] as const;
const files = new NumberedFiles();
const roles: Record<string, (transport: Transport) => unknown> = {
  up: (transport) => receiveWorkload(transport, files, seed),
  down: (transport) => sendWorkload(transport, files, count, seed + 1),
  exchange(transport) {
    using _closed = transport;
    return exchange(transport, seed + 2);
  },
};
const listening = Object.keys(roles).map((name) =>
  [name, listenUnix(`${folder}/${name}`)] as const
);
console.log("@@ready");
for (const [name, socket] of listening) {
  using connection = acceptUnix(socket);
  if (connection === undefined) throw new Error("nobody connected");
  const result = await roles[name](unixTransport(connection));
  console.log(`@@${JSON.stringify({ role: name, result })}`);
  socket.close();
}
