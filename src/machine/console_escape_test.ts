import assert from "node:assert/strict";
import { ConsoleEscape } from "./console_escape.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

Deno.test("what is typed goes to the guest, commands do not", () => {
  const escape = new ConsoleEscape();
  const { input, commands } = escape.feed(bytes("ls\r\x01hc\x01pd\x01D\x01x"));
  assert.equal(text(input), "ls\rcd");
  assert.deepEqual(commands, ["help", "power", "detach", "quit"]);
});

Deno.test("an escape may be split between reads, and sends itself", () => {
  const escape = new ConsoleEscape();
  assert.deepEqual(escape.feed(bytes("\x01")), { input: new Uint8Array(), commands: [] });
  assert.deepEqual(escape.feed(bytes("X")).commands, ["quit"]);
  assert.equal(text(escape.feed(bytes("\x01a\x01\x01\x01z")).input), "\x01\x01\x01z");
});
