// throughput.ts send|receive messages|json COUNT SIZE: one end of a comparison over the socket at 3.
import { Fd, read, writeAll } from "../../../src/os/mod.ts";
import { BlockingPeer, bytes, defineMessages, unixTransport } from "../../../src/msg/mod.ts";
import * as v from "valibot";

const [role, form, count, size] = [Deno.args[0], Deno.args[1], ...Deno.args.slice(2).map(Number)];
const served = defineMessages({
  item: {
    doc: "Some data.",
    body: v.strictObject({ sequence: v.number(), label: v.string(), data: bytes }),
  },
  finish: { doc: "Tells how many came.", body: v.null(), answer: v.number() },
});
const nothing = defineMessages({});
const socket = Fd.inherited(3);
const data = new Uint8Array(size).fill(0x5a);
const label = "disk0";
let came = 0;

const programs: Record<string, () => void> = {
  "send messages"() {
    using peer = new BlockingPeer(unixTransport(socket), {
      calls: served,
      serves: nothing,
      handlers: {},
    });
    for (let sequence = 0; sequence < count; sequence++) {
      peer.note("item", { sequence, label, data });
    }
    came = peer.request("finish", null).body;
  },
  "receive messages"() {
    using peer = new BlockingPeer(unixTransport(socket), {
      calls: nothing,
      serves: served,
      handlers: {
        item({ data }) {
          if (data.length === size) came++;
        },
        finish: () => came,
      },
    });
    while (peer.wait());
  },
  "send json"() {
    const encoder = new TextEncoder();
    for (let sequence = 0; sequence < count; sequence++) {
      const line = JSON.stringify({ sequence, label, data: data.toBase64() });
      writeAll(socket, encoder.encode(`${line}\n`));
    }
    const answer = new Uint8Array(16);
    came = Number(new TextDecoder().decode(answer.subarray(0, read(socket, answer))));
  },
  "receive json"() {
    const buffer = new Uint8Array(65536);
    const decoder = new TextDecoder();
    let rest = "";
    while (came < count) {
      const length = read(socket, buffer);
      if (length <= 0) return;
      const lines = (rest + decoder.decode(buffer.subarray(0, length), { stream: true })).split(
        "\n",
      );
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const { data } = JSON.parse(line) as { data: string };
        if (Uint8Array.fromBase64(data).length === size) came++;
      }
    }
    writeAll(socket, new TextEncoder().encode(String(came)));
  },
};

const began = performance.now();
programs[`${role} ${form}`]();
if (role === "send") console.log(JSON.stringify({ came, ms: performance.now() - began }));
