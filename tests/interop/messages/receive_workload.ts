import { Buffer } from "node:buffer";
import { Reactor } from "../../../src/os/mod.ts";
import { AsyncPeer, type Transport } from "../../../src/msg/mod.ts";
import { openMemory, receiverMessages, senderMessages, Workload } from "./workload.ts";
import type { NumberedFiles } from "./numbered_files.ts";

/** Receives what a seed makes, compares, and tells the sender when it asks. Returns when the sender has closed. */
export async function receiveWorkload(
  transport: Transport,
  files: NumberedFiles,
  seed: number,
): Promise<void> {
  const workload = new Workload(seed);
  const reactor = new Reactor();
  const seen = { messages: 0, descriptors: 0, bytes: 0, wrong: "" };
  const openBefore = openMemory();

  function note(what: string): void {
    if (seen.wrong === "") seen.wrong = `message ${seen.messages}: ${what}`;
  }

  const peer = new AsyncPeer(transport, reactor, {
    calls: senderMessages,
    serves: receiverMessages,
    handlers: {
      item({ sequence, label, data, files: came, nested }) {
        const due = workload.next();
        if (sequence !== seen.messages) note(`number ${sequence} came`);
        if (label !== due.label) note("another label");
        if (Buffer.compare(data, due.data) !== 0) note(`${data.length} bytes differ`);
        const numbers = came.map((file) => files.numberOf(file));
        if (numbers.join() !== due.files.join()) note(`files ${numbers} and not ${due.files}`);
        const inner = nested === undefined ? undefined : files.numberOf(nested.file);
        if (inner !== due.nested) note(`file ${inner} and not ${due.nested}`);
        if (nested !== undefined && nested.list[0] !== sequence) note("another list");
        seen.messages++;
        seen.bytes += data.length;
        seen.descriptors += numbers.length + (inner === undefined ? 0 : 1);
        // Taken, and closed by us; all others are closed by their message.
        if (came.length > 3) came[1].move().close();
      },
      sync: () => seen.messages,
      finish: () => ({ ...seen, leaked: openMemory() - openBefore }),
    },
  });
  await peer.closed;
  reactor[Symbol.dispose]();
}
