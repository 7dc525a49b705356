// receiver.ts SEED: receives over the socket at 3 and compares with what SEED makes.
import { Fd } from "../../../src/os/mod.ts";
import { unixTransport } from "../../../src/msg/mod.ts";
import { NumberedFiles } from "./numbered_files.ts";
import { receiveWorkload } from "./receive_workload.ts";

await receiveWorkload(unixTransport(Fd.inherited(3)), new NumberedFiles(), Number(Deno.args[0]));
