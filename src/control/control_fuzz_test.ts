// Hostile clients of the control socket.
import assert from "node:assert/strict";
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { raw, ServedVm } from "./testing.ts";

const get = (path: string) => `GET /api/v1${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const post = (path: string, body: string) =>
  `POST /api/v1${path} HTTP/1.1\r\nContent-Length: ${body.length}\r\n` +
  `Content-Type: application/json\r\n\r\n${body}`;

const STATE = get("/vm/state");
const REQUESTS = [
  ...["/vm", "/vm/state", "/metrics", "/openapi.json", "/nothing?x=%zz"].map(get),
  post("/vm/pause", ""),
  post("/vm/resume", ""),
  post("/vm/reset", ""),
  post("/vm/snapshot", '{"dir":"/nowhere"}'),
  post("/devices/disk0/restart", "{}"),
];
const PIECES = [
  ...["", "\r\n", "\n", " ", ":", "/", "\0", "{", '"', "[[", "-1", "1e999"],
  ...["Content-Length: 3\r\n", "Expect: 100-continue\r\n", "Transfer-Encoding: chunked\r\n"],
  ...["Connection: close\r\n", "HEAD ", "DELETE ", "HTTP/1.0", "/vm/events"],
];

function change(text: string, dice: Dice): string {
  const place = dice.below(text.length + 1);
  const piece = dice.once(3) ? String.fromCharCode(dice.below(0x10000)) : dice.of(PIECES);
  return text.slice(0, place) + piece + text.slice(place + dice.below(12));
}

/** Some requests at once, changed. */
async function ask(served: ServedVm, dice: Dice): Promise<void> {
  let text = Array.from({ length: 1 + dice.below(3) }, () => dice.of(REQUESTS)).join("");
  for (let i = dice.below(4); i > 0; i--) text = change(text, dice);
  const answer = await raw(served, text);
  assert.match(answer, /^(HTTP\/1\.1 [1-5]\d\d |$)/);
  assert.doesNotMatch(answer, /^HTTP\/1\.1 500 /);
}

fuzzTest({
  name: "control",
  promise: "requests that are changed at random are answered or hung up on, and disturb nobody",
  async play(dice) {
    await using served = await ServedVm.start();
    let asked = 0;
    for (; !dice.isOver; asked++) await ask(served, dice);
    assert.match(await raw(served, STATE), /^HTTP\/1.1 200 /);
    return asked;
  },
  turns: 300,
  tapeLength: 2 ** 9,
});
