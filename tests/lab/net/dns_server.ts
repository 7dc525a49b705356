/** Answers every question for an address: `web.test` has one of each family, nothing else exists. Arguments: both. */

import { createSocket } from "node:dgram";

const A = 1, AAAA = 28, HEADER = 12;
const NAME = "\x03web\x04test";
const [v4, v6] = Deno.args;

/** A message of RFC 1035 §4.1: the question again, and what there is to answer. */
function answer(question: Uint8Array): Uint8Array | undefined {
  const end = question.indexOf(0, HEADER);
  if (end < 0 || question.length < end + 5) return undefined;
  const name = String.fromCharCode(...question.subarray(HEADER, end)).toLowerCase();
  const type = question[end + 1] << 8 | question[end + 2];
  const isKnown = name === NAME;
  const data = !isKnown ? undefined : type === A ? bytesOf(v4) : type === AAAA ? bytesOf(v6) : [];
  const records = data === undefined || data.length === 0
    ? []
    : [0xc0, HEADER, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data];
  const head = [
    ...[question[0], question[1], 0x85, isKnown ? 0x80 : 0x83],
    ...[0, 1, 0, records.length === 0 ? 0 : 1, 0, 0, 0, 0],
  ];
  return Uint8Array.from([...head, ...question.subarray(HEADER, end + 5), ...records]);
}

/** The bytes of an address; of the newer kind only what `::` fills between two ends. */
function bytesOf(address: string): number[] {
  if (!address.includes(":")) return address.split(".").map(Number);
  const [left, right] = address.split("::").map((half) =>
    half.split(":").filter((part) => part !== "").flatMap((part) => {
      const word = parseInt(part, 16);
      return [word >> 8, word & 0xff];
    })
  );
  return [...left, ...Array<number>(16 - left.length - right.length).fill(0), ...right];
}

const socket = createSocket("udp4");
socket.on("message", (question, from) => {
  const bytes = answer(question);
  if (bytes !== undefined) socket.send(bytes, from.port, from.address);
});
socket.bind(53, () => console.log("dns: ready"));
