/**
 * A guest's side of the tests of Virtio Wayland. Prints one line of JSON.
 *
 * `send NAME COUNT SEED`, `receive NAME SEED`, `exchange NAME SEED`: over a context to the host's socket NAME.
 */
import { VirtioWl } from "../../../src/os/mod.ts";
import { virtioWlTransport } from "../../../src/msg/mod.ts";
import { NumberedFiles } from "../../interop/messages/numbered_files.ts";
import { receiveWorkload } from "../../interop/messages/receive_workload.ts";
import { sendWorkload } from "../../interop/messages/send_workload.ts";
import { exchange } from "./exchange.ts";

const [role, name, ...words] = Deno.args;
const numbers = words.map(Number);
using wl = VirtioWl.open();
using context = wl.context(name);
const transport = virtioWlTransport(context);
const began = performance.now();
const roles: Record<string, () => unknown> = {
  send: () =>
    sendWorkload(
      transport,
      new NumberedFiles(),
      numbers[0],
      numbers[1],
      (size) => wl.memory(size),
    ),
  receive: () => receiveWorkload(transport, new NumberedFiles(), numbers[0]),
  exchange() {
    using _closed = transport;
    return exchange(transport, numbers[0]);
  },
};
const result = await roles[role]();
const seconds = (performance.now() - began) / 1000;
console.log(`@@${JSON.stringify({ role, seconds, result })}`);
