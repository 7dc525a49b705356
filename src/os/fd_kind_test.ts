import assert from "node:assert/strict";
import {
  addSeals,
  EventFd,
  fdKind,
  listenUnix,
  memfd,
  openFile,
  pipe,
  Poller,
  Seal,
  seals,
  socketPair,
  SocketType,
} from "./mod.ts";

Deno.test("what a descriptor is", () => {
  using stack = new DisposableStack();
  const path = `${Deno.makeTempDirSync()}/socket`;
  const [stream, gone] = socketPair();
  gone.close();
  const [from, to] = pipe();
  const poller = stack.use(new Poller());
  const kinds = {
    memory: [memfd("x", 4096)],
    socket: [stream],
    pipe: [from, to],
    other: [
      openFile("/dev/null"),
      openFile("/"),
      openFile("/etc/passwd"),
      listenUnix(path),
      ...socketPair(SocketType.SeqPacket),
    ],
  };
  for (const [kind, fds] of Object.entries(kinds)) {
    for (const fd of fds) assert.equal(fdKind(stack.use(fd)), kind);
  }
  assert.equal(fdKind(poller.fd), "other");
  using event = EventFd.create();
  event.signal();
  assert.equal(fdKind(event.fd), "event");
  assert.equal(event.drain(), 1);
  Deno.removeSync(path);
});

Deno.test("seals are added until they are sealed themselves", () => {
  using memory = memfd("x", 4096, { seal: false });
  addSeals(memory, Seal.Shrink);
  assert.ok((seals(memory) & Seal.Shrink) !== 0);
  addSeals(memory, Seal.Seal);
  assert.throws(() => addSeals(memory, Seal.Grow), { code: "EPERM" });
  const [from, to] = pipe();
  using _from = from, _to = to;
  assert.throws(() => addSeals(to, Seal.Grow), { code: "EINVAL" });
});
