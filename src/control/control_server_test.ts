import assert from "node:assert/strict";
import { leakedDescriptors, trackDescriptors } from "../os/mod.ts";
import { raw, ServedVm } from "./testing.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Runs curl against a VM, as its users do. */
async function curl({ socket }: ServedVm, path: string, ...more: string[]) {
  const { code, stdout } = await new Deno.Command("curl", {
    args: [
      "-sS",
      "--unix-socket",
      socket,
      "-w",
      "\n%{http_code}",
      `http://localhost${path}`,
      ...more,
    ],
  }).output();
  assert.equal(code, 0);
  const [, body, status] = /^([^]*)\n(\d+)$/.exec(decoder.decode(stdout)) ?? [];
  return { status: Number(status), body };
}

async function post(served: ServedVm, path: string, body?: string) {
  const { status, body: text } = await curl(served, path, "-d", body ?? "", "-X", "POST");
  return { status, body: JSON.parse(text) };
}

async function readUntil(connection: Deno.Conn, wanted: string): Promise<string> {
  const buffer = new Uint8Array(4096);
  let text = "";
  while (!text.includes(wanted)) {
    const count = await connection.read(buffer);
    assert.ok(count !== null, `ended after: ${text}`);
    text += decoder.decode(buffer.subarray(0, count));
  }
  return text;
}

Deno.test("curl pauses, resumes, resets and snapshots a VM", async () => {
  await using served = await ServedVm.start();
  assert.deepEqual(JSON.parse((await curl(served, "/api/v1/vm")).body).name, "fake");
  assert.deepEqual(await post(served, "/api/v1/vm/pause"), {
    status: 200,
    body: { state: "paused" },
  });
  assert.equal((await post(served, "/api/v1/vm/snapshot", '{"dir":"/x"}')).status, 200);
  assert.deepEqual(served.vm.snapshots, ["/x"]);
  const conflict = await post(served, "/api/v1/vm/reset");
  assert.deepEqual(conflict, {
    status: 409,
    body: { error: { code: "state", message: "The VM is paused, not running." } },
  });
  assert.equal((await post(served, "/api/v1/vm/resume")).body.state, "running");
  assert.equal((await post(served, "/api/v1/vm/reset")).status, 200);
  assert.equal(JSON.parse((await curl(served, "/api/v1/vm")).body).resets, 1);
  assert.equal((await curl(served, "/api/v1/devices/disk0")).status, 200);
  assert.match(
    (await curl(served, "/api/v1/devices/disk7")).body,
    /no device \\"disk7\\".* Those that there are: disk0/,
  );
});

Deno.test("stopping is answered when the VM has ended", async () => {
  await using served = await ServedVm.start();
  served.vm.obedient = false;
  assert.deepEqual(await post(served, "/api/v1/vm/stop", '{"graceMs":10}'), {
    status: 200,
    body: { kind: "off" },
  });
});

Deno.test("who waits for the end is told before the server closes", async () => {
  const served = await ServedVm.start();
  served.vm.obedient = false;
  const pressed = served.vm.events()[Symbol.asyncIterator]().next();
  const events = curl(served, "/api/v1/events");
  while (served.vm.listeners < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  const stopping = post(served, "/api/v1/vm/stop");
  await pressed;
  served.vm.end({ kind: "failed", reason: "why" });
  await served[Symbol.asyncDispose]();
  assert.match((await events).body, /"kind":"ended"/);
  assert.deepEqual((await stopping).body, { kind: "failed", reason: "why" });
});

Deno.test("bodies are checked by their schemas", async () => {
  await using served = await ServedVm.start();
  const refusals: [path: string, body: string, message: RegExp][] = [
    ["stop", "{", /not JSON/],
    ["stop", "[]", /cannot be used/],
    ["stop", '{"graceMs":-1}', /graceMs: a number of at least 0/],
    ["stop", '{"grace":1}', /grace: there is no such key/],
    ["snapshot", '{"dir":"relative"}', /dir: an absolute path is expected/],
    ["snapshot", "", /dir: /],
    ["pause", "{}", /No body is expected/],
  ];
  for (const [path, body, message] of refusals) {
    const answer = await post(served, `/api/v1/vm/${path}`, body);
    assert.deepEqual([answer.status, answer.body.error.code], [400, "request"], body);
    assert.match(answer.body.error.message, message);
  }
  assert.equal(served.vm.info().state, "running");
});

Deno.test("what is not there, or not possible, is said", async () => {
  await using served = await ServedVm.start();
  assert.equal((await curl(served, "/")).status, 404);
  assert.equal((await curl(served, "/api/v1/vm/../../etc")).status, 404);
  assert.equal((await curl(served, "/api/v1/devices/%zz")).status, 404);
  const wrong = await curl(served, "/api/v1/vm/pause", "-i");
  assert.equal(wrong.status, 405);
  assert.match(wrong.body, /allow: POST/);
  assert.equal((await curl(served, "/api/v1/vm?x=1")).status, 200);
  const head = await curl(served, "/api/v1/vm", "-I");
  assert.match(head.body, /^HTTP\/1.1 200 OK[^]*content-length: \d{3,}/);
});

Deno.test("requests follow each other on a connection, and several at once on many", async () => {
  await using served = await ServedVm.start();
  const request = "GET /api/v1/vm/state HTTP/1.1\r\nHost: x\r\n\r\n";
  const answers = await raw(served, request.repeat(20));
  assert.equal(answers.match(/HTTP\/1.1 200/g)?.length, 20);
  const old = await raw(served, "GET /api/v1/vm/state HTTP/1.0\r\n\r\n", false);
  assert.match(old, /connection: close/);
  const all = await Promise.all(
    Array.from({ length: 40 }, () => raw(served, request)),
  );
  assert.ok(all.every((answer) => answer.includes('{"state":"running"}')));
});

Deno.test("a client that waits for a word before its body gets it", async () => {
  await using served = await ServedVm.start();
  const answer = await post(served, "/api/v1/vm/stop", JSON.stringify({ graceMs: 5 }));
  assert.equal(answer.status, 200);
  await using other = await ServedVm.start();
  using connection = await Deno.connect({ transport: "unix", path: other.socket });
  await connection.write(encoder.encode(
    "POST /api/v1/vm/stop HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
  ));
  assert.match(await readUntil(connection, "\r\n\r\n"), /^HTTP\/1.1 100 Continue/);
  await connection.write(encoder.encode("{}"));
  assert.match(await readUntil(connection, "}"), /200 OK/);
});

Deno.test("nonsense is refused, and disturbs nobody else", async () => {
  await using served = await ServedVm.start();
  const cases: [what: string, bytes: string, status: number][] = [
    ["no HTTP", "hello\r\n\r\n", 400],
    ["another version", "GET / HTTP/2.0\r\n\r\n", 400],
    ["an unknown method", "FROB / HTTP/1.1\r\n\r\n", 400],
    ["a long header", `GET / HTTP/1.1\r\nX: ${"x".repeat(100_000)}`, 431],
    ["an endless line", "x".repeat(100_000), 431],
    ["a large body", "POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n" + "x".repeat(70000), 413],
    ["a huge length", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400],
    ["a negative length", "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400],
    ["two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400],
    ["chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411],
    ["an upgrade", "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 400],
    ["a proxy's form", "GET http://x/ HTTP/1.1\r\n\r\n", 404],
    ["another scheme", "GET ftp://x/ HTTP/1.1\r\n\r\n", 400],
    ["a tunnel", "CONNECT x:1 HTTP/1.1\r\n\r\n", 400],
    ["no path", "GET * HTTP/1.1\r\n\r\n", 400],
  ];
  for (const [what, bytes, status] of cases) {
    assert.match(await raw(served, bytes), new RegExp(`^HTTP/1.1 ${status} `), what);
  }
  const random = new Uint8Array(20_000);
  for (let i = 0; i < 50; i++) {
    crypto.getRandomValues(random);
    await raw(served, decoder.decode(random));
  }
  assert.equal((await curl(served, "/api/v1/vm/state")).status, 200);
});

Deno.test("slow and silent clients lose their connection", async () => {
  await using served = await ServedVm.start({
    patience: { request: 100, idle: 300, reading: 100 },
  });
  const slow = await raw(served, "GET / HTTP/1.1\r\nHo", false);
  assert.match(slow, /^HTTP\/1.1 408 /);
  assert.equal(await raw(served, "", false), "");
  // Who does not read: many answers fill the socket.
  using deaf = await Deno.connect({ transport: "unix", path: served.socket });
  const many = encoder.encode("GET /api/v1/openapi.json HTTP/1.1\r\n\r\n".repeat(300));
  const sending = (async () => {
    for (;;) await deaf.write(many);
  })();
  await assert.rejects(sending);
});

Deno.test("one connection too many is told so", async () => {
  await using served = await ServedVm.start();
  const open = await Promise.all(
    Array.from({ length: 64 }, () => Deno.connect({ transport: "unix", path: served.socket })),
  );
  // The last of them has been accepted when it is answered.
  await open[63].write(encoder.encode("GET /api/v1/vm/state HTTP/1.1\r\n\r\n"));
  await readUntil(open[63], "}");
  assert.match(await raw(served, "", false), /^HTTP\/1.1 503 [^]*too many connections/);
  for (const connection of open) connection.close();
  for (;;) {
    const answer = await raw(served, "GET /api/v1/vm/state HTTP/1.1\r\n\r\n");
    if (answer.includes("200 OK")) break;
  }
});

Deno.test("events stream to who listens, and a listener that leaves is forgotten", async () => {
  await using served = await ServedVm.start();
  const connection = await Deno.connect({ transport: "unix", path: served.socket });
  await connection.write(encoder.encode("GET /api/v1/events HTTP/1.1\r\n\r\n"));
  await readUntil(connection, "\r\n\r\n");
  while (served.vm.listeners === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await served.vm.pause();
  await served.vm.resume();
  const lines = await readUntil(connection, "resumed");
  assert.match(lines, /"kind":"paused"[^]*"kind":"resumed"/);
  connection.close();
  while (served.vm.listeners > 0) await new Promise((resolve) => setTimeout(resolve, 1));
});

Deno.test("who asks only for the head of the event stream does not listen", async () => {
  await using served = await ServedVm.start();
  const heads = "HEAD /api/v1/events HTTP/1.1\r\n\r\n".repeat(10);
  const state = "GET /api/v1/vm/state HTTP/1.1\r\n\r\n";
  const connection = await Deno.connect({ transport: "unix", path: served.socket });
  await connection.write(encoder.encode(heads + state));
  const answers = await readUntil(connection, '{"state":"running"}');
  assert.equal(answers.split("application/jsonl").length, 11);
  assert.equal(served.vm.listeners, 0);
  connection.close();
});

Deno.test("the console: the past, one who writes, others who watch", async () => {
  await using served = await ServedVm.start();
  const first = await Deno.connect({ transport: "unix", path: served.console });
  assert.match(await readUntil(first, "$ "), /^fake guest/);
  await first.write(encoder.encode("hello\n"));
  await readUntil(first, "you said: hello");
  const second = await Deno.connect({ transport: "unix", path: served.console });
  const seen = await readUntil(second, "you said: hello");
  assert.match(seen, /^\[spectrum: somebody else writes[^]*fake guest/);
  await second.write(encoder.encode("ignored\n"));
  first.close();
  // Who comes when the writer has left may write; what came of `ignored` would have been seen before.
  for (;;) {
    using third = await Deno.connect({ transport: "unix", path: served.console });
    await third.write(encoder.encode("third\n"));
    await third.closeWrite();
    if (!(await readUntil(third, "fake guest")).includes("somebody else")) {
      const words = await readUntil(second, "you said: third");
      assert.ok(!words.includes("ignored"));
      break;
    }
  }
  second.close();
});

Deno.test("a guest that does not listen keeps nobody's place", async () => {
  await using served = await ServedVm.start();
  served.vm.console.guest = { input: () => new Promise(() => {}) };
  const stuck = await Deno.connect({ transport: "unix", path: served.console });
  await readUntil(stuck, "$ ");
  await stuck.write(encoder.encode("x"));
  assert.equal(served.vm.console.takeInput(), undefined);
  stuck.close();
  for (;;) {
    using input = served.vm.console.takeInput();
    if (input !== undefined) break;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
});

Deno.test("a socket that a killed monitor left is replaced; nothing stays behind", async () => {
  trackDescriptors();
  const served = await ServedVm.start();
  const { socket, base } = served;
  const left = `${base}/left`;
  await Deno.mkdir(left);
  await Deno.rename(socket, `${left}/control.sock`);
  const { ControlServer } = await import("./control_server.ts");
  const { Log } = await import("../machine/mod.ts");
  {
    await using _server = new ControlServer(served.vm, {
      dir: left,
      log: new Log({ format: "text", level: "error" }),
    });
  }
  assert.deepEqual([...Deno.readDirSync(left)], []);
  await served[Symbol.asyncDispose]();
  const leaks = leakedDescriptors();
  trackDescriptors(false);
  assert.deepEqual(leaks, []);
});
