// receiver.ts SEED: receives over the socket at 3 and compares with what SEED makes.
import { Buffer } from "node:buffer";
import { Fd, Reactor } from "../../../src/os/mod.ts";
import { AsyncPeer, unixTransport } from "../../../src/msg/mod.ts";
import { fileIndex, openFiles, receiverMessages, senderMessages, Workload } from "./workload.ts";

const workload = new Workload(Number(Deno.args[0]));
const reactor = new Reactor();
const seen = { messages: 0, descriptors: 0, bytes: 0, wrong: "" };

function note(what: string): void {
  if (seen.wrong === "") seen.wrong = `message ${seen.messages}: ${what}`;
}

const peer = new AsyncPeer(unixTransport(Fd.inherited(3)), reactor, {
  calls: senderMessages,
  serves: receiverMessages,
  handlers: {
    item({ sequence, label, data, files, nested }) {
      const due = workload.next();
      if (sequence !== seen.messages) note(`number ${sequence} came`);
      if (label !== due.label) note("another label");
      if (Buffer.compare(data, due.data) !== 0) note(`${data.length} bytes differ`);
      const came = files.map(fileIndex);
      if (came.join() !== due.files.join()) note(`files ${came} and not ${due.files}`);
      const inner = nested === undefined ? undefined : fileIndex(nested.file);
      if (inner !== due.nested) note(`file ${inner} and not ${due.nested}`);
      if (nested !== undefined && nested.list[0] !== sequence) note("another list");
      seen.messages++;
      seen.bytes += data.length;
      seen.descriptors += came.length + (inner === undefined ? 0 : 1);
      // Taken, and closed by us; all others are closed by their message.
      if (files.length > 3) files[1].move().close();
    },
    sync: () => seen.messages,
    finish: () => ({ ...seen, leaked: openFiles() }),
  },
});
await peer.closed;
reactor[Symbol.dispose]();
