// sender.ts COUNT SEED: sends COUNT messages over the socket at 3, and prints what the receiver says of them.
import { Fd } from "../../../src/os/mod.ts";
import { unixTransport } from "../../../src/msg/mod.ts";
import { NumberedFiles } from "./numbered_files.ts";
import { sendWorkload } from "./send_workload.ts";

const [count, seed] = Deno.args.map(Number);
const transport = unixTransport(Fd.inherited(3));
console.log(JSON.stringify(sendWorkload(transport, new NumberedFiles(), count, seed)));
