import assert from "node:assert/strict";
import { join } from "node:path";
import {
  payload,
  Reactor,
  receiveMessage,
  sendMessage,
  socketPair,
  workerFlags,
} from "../os/mod.ts";
import { Starter } from "../sandbox/mod.ts";
import { Log } from "./log.ts";
import { startWorker } from "./worker.ts";

/** A device that is no better than its script: it filters itself, and then does something. */
const script = (shim: string) => `
  const { symbols } = Deno.dlopen(${JSON.stringify(shim)}, {
    sp_filter_calls: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  });
  // BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS
  symbols.sp_filter_calls(new Uint8Array([6, 0, 0, 0, 0, 0, 0, 0x80]), 1, 1);
  console.log("it goes on");
`;

Deno.test("the monitor says of a worker that it died of its filter, not of something else", async () => {
  const folder = await Deno.makeTempDir();
  const device = join(folder, "device.js");
  const real = payload();
  await Deno.writeTextFile(device, script(real.shim));
  globalThis.spectrumPayload = {
    ...real,
    device: [Deno.execPath(), "run", ...workerFlags, device],
  };
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  try {
    const lines: string[] = [];
    const log = new Log({ format: "text", level: "info", write: (line) => lines.push(line) });
    const [ours, theirs] = socketPair();
    using _ours = ours;
    using socket = theirs;
    const frontend = { how: "connected", socket: socket.borrow() } as const;
    const worker = await startWorker(starter, { kind: "rng" }, frontend, { log });
    assert.deepEqual(await worker.child.exited, { signal: 31 });
    await assert.rejects(worker.ready);
    assert.deepEqual(lines, [
      "error: the rng worker was killed for a system call that its policy lacks, or gave up by abort(); --sandbox debug names the call",
    ]);
  } finally {
    globalThis.spectrumPayload = undefined;
    await starter.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("SIGTERM is nothing to a worker in its jail, which its monitor ends", async () => {
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  try {
    const [ours, theirs] = socketPair();
    using frontend = ours;
    using socket = theirs;
    const how = { how: "connected", socket: socket.borrow() } as const;
    const { child, ready } = await startWorker(starter, { kind: "rng" }, how);
    await ready;
    child.kill(15);
    // GET_FEATURES, version 1, without a payload; what comes back has eight bytes.
    sendMessage(frontend, new Uint8Array(new Uint32Array([1, 1, 0]).buffer));
    assert.equal(receiveMessage(frontend, new Uint8Array(100), 0).length, 20);
    child.kill();
    assert.deepEqual(await child.exited, { signal: 9 });
  } finally {
    await starter.close();
  }
});

Deno.test("what keeps a host from jailing workers is told with what to do", async () => {
  const real = payload();
  globalThis.spectrumPayload = { ...real, shim: "/nonexistent/libspectrum.so" };
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  try {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    using socket = theirs;
    const frontend = { how: "connected", socket: socket.borrow() } as const;
    await assert.rejects(startWorker(starter, { kind: "rng" }, frontend), {
      fault: "host",
      message:
        /^Cannot start .*: its root could not be put together \(no such file or directory\)\. `spectrum doctor`/,
    });
  } finally {
    globalThis.spectrumPayload = undefined;
    await starter.close();
  }
});
