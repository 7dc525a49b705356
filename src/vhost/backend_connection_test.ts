import assert from "node:assert/strict";
import type { Transport } from "../msg/mod.ts";
import { EventFd } from "../os/mod.ts";
import { BackendConnection } from "./backend_connection.ts";
import { messageBytes } from "./message_bytes.ts";
import { FrontendMessage } from "./protocol.ts";

Deno.test("an answer waits for room, as there is little across the border of a VM", () => {
  using event = EventFd.create();
  const request = messageBytes(FrontendMessage.GetFeatures, 0, new Uint8Array(0));
  const answers: number[] = [];
  let refusals = 1, left = 2;
  const transport: Transport = {
    kind: "a transport with room for one",
    maxDescriptors: 0,
    fd: event.fd,
    send(bytes) {
      if (refusals-- > 0) return "later";
      refusals = 1;
      return answers.push(bytes.length) && bytes.length;
    },
    receive(buffer) {
      if (left-- === 0) return "later";
      buffer.set(request);
      return { length: request.length, fds: [], lost: false };
    },
    [Symbol.dispose]() {},
  };
  using connection = new BackendConnection(transport, {
    replyAck: () => false,
    handle: () => ({ payload: new Uint8Array(8) }),
  }, assert.fail);
  assert.equal(connection.receive(), true);
  assert.deepEqual(answers, [20, 20]);
});
