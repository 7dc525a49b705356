import assert from "node:assert/strict";
import { dirname } from "node:path";
import {
  type Fd,
  leakedDescriptors,
  Reactor,
  receiveMessage,
  sendMessage,
  trackDescriptors,
  tryPort,
} from "../../os/mod.ts";
import { Starter } from "../../sandbox/mod.ts";
import { Log } from "../log.ts";
import { requireFreePorts } from "./published_ports.ts";
import { UserNetwork } from "./user_network.ts";

/** An ARP request for the router, which passt answers for whoever is there. */
function arpRequest(): Uint8Array {
  const mac = [2, 0, 0, 0, 0, 1];
  const frame = [
    ...[255, 255, 255, 255, 255, 255, ...mac, 8, 6],
    ...[0, 1, 8, 0, 6, 4, 0, 1, ...mac, 0, 0, 0, 0],
    ...[0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
  ];
  return Uint8Array.from([0, 0, 0, frame.length, ...frame]);
}

/** Whether somebody answers an ARP request at the other end of a stream. */
function answersArp(stream: Fd): boolean {
  sendMessage(stream, arpRequest(), []);
  const answer = new Uint8Array(4 + 42);
  for (let at = 0; at < answer.length;) {
    const { length } = receiveMessage(stream, answer.subarray(at), 0);
    if (length <= 0) return false;
    at += length;
  }
  const [type, operation] = [answer.subarray(16, 18), answer.subarray(24, 26)];
  return type.join() === "8,6" && operation.join() === "0,2";
}

interface Scene {
  readonly network: UserNetwork;
  readonly starter: Starter;
  /** What was told, and the streams that came with it. */
  readonly told: string[];
  readonly found: Fd[];
}

async function withNetwork(
  publish: string[],
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  trackDescriptors();
  {
    using reactor = new Reactor();
    const starter = Starter.spawn(reactor);
    const told: string[] = [];
    const found: Fd[] = [];
    const network = new UserNetwork({
      ...{ starter, device: "net0", config: { publish } },
      log: new Log({ format: "text", level: "info", write: (line) => told.push(line) }),
      onLost: (detail) => told.push(detail),
      onFound: (stream, detail) => {
        found.push(stream);
        told.push(detail);
      },
    });
    try {
      await body({ network, starter, told, found });
    } finally {
      network[Symbol.dispose]();
      await starter.close();
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  const leaks = leakedDescriptors();
  trackDescriptors(false);
  assert.deepEqual(leaks, []);
}

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(what);
}

Deno.test("passt serves one stream after the other, and stays; its place goes with its starter", async () => {
  const places: string[] = [];
  await withNetwork([], async ({ network, told }) => {
    const first = await network.open();
    assert.ok(first !== undefined && answersArp(first));
    const { pid } = network;
    const second = await network.open();
    assert.ok(second !== undefined && answersArp(second));
    assert.equal(network.pid, pid);
    assert.ok(first.closed);
    assert.deepEqual(told, []);
    const [, socket = ""] =
      /--socket\0([^\0]+)/.exec(Deno.readTextFileSync(`/proc/${pid}/cmdline`)) ?? [];
    assert.match(socket, /^\/tmp\/spectrum-passt-.+\/socket$/);
    places.push(dirname(socket));
    assert.equal((Deno.statSync(places[0]).mode ?? 0) & 0o777, 0o700);
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^Seccomp:\t2$/m);
    if (Deno.uid() === 0) assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
  });
  assert.throws(() => Deno.statSync(places[0]), Deno.errors.NotFound);
});

Deno.test("passt that is killed comes back with a new stream", async () => {
  await withNetwork([], async ({ network, starter, told, found }) => {
    await network.open();
    starter.seal();
    for (let round = 1; round <= 3; round++) {
      const { pid } = network;
      assert.ok(pid !== undefined);
      Deno.kill(pid, "SIGKILL");
      await eventually(() => found.length === round, "no new stream");
      assert.ok(answersArp(found[round - 1]));
      assert.notEqual(network.pid, pid);
    }
    assert.match(
      told[0],
      /^passt ended by signal 9; the link is down; the next attempt is in \d+ ms$/,
    );
    assert.match(told[1], /^passt is back after \d+ ms; the link is up$/);
  });
});

Deno.test("a worker that comes while passt is away is told when it is back", async () => {
  await withNetwork([], async ({ network, found }) => {
    await network.open();
    Deno.kill(network.pid ?? 0, "SIGKILL");
    await eventually(() => network.stream === undefined, "the end was not seen");
    assert.equal(await network.open(), undefined);
    await eventually(() => found.length === 1, "no new stream");
    assert.ok(answersArp(found[0]));
  });
});

Deno.test("a port that somebody has is named before passt is started, and published when it is free", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const free = port === 65535 ? 1025 : port + 1;
  assert.throws(() => requireFreePorts("net0", [`${free}:1`, `${port}:80`]), {
    message:
      `Cannot publish "${port}:80" (publish[1] of net0): somebody listens at tcp port ${port} of this host ` +
      "already. End that, or choose another port.",
  });
  requireFreePorts("net0", [`127.0.0.2:${port}:80`, `${port}:53/udp`]);
  assert.throws(() => requireFreePorts("net0", ["192.0.2.211:8080:80"]), {
    message:
      'Cannot publish "192.0.2.211:8080:80" (publish[0] of net0): 192.0.2.211 is no address of this host.',
  });
  await withNetwork([`127.0.0.1:${free}:80`, `127.0.0.1:${free}:53/udp`], async ({ network }) => {
    await network.open();
    assert.throws(() => tryPort("tcp", "127.0.0.1", free), { code: "EADDRINUSE" });
    assert.throws(() => tryPort("udp", "127.0.0.1", free), { code: "EADDRINUSE" });
  });
  tryPort("tcp", "127.0.0.1", free);
});

Deno.test("passt does not survive those who started it", async () => {
  await withNetwork([], async ({ network, starter }) => {
    await network.open();
    const { pid } = network;
    Deno.kill(starter.pid, "SIGKILL");
    const isThere = () => {
      try {
        return !/^State:\s*Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
      } catch {
        return false;
      }
    };
    await eventually(() => !isThere(), "passt goes on");
  });
});

Deno.test("why passt cannot serve is said in its own words", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await withNetwork([`127.0.0.1:${port}:80`], async ({ network }) => {
    await assert.rejects(network.open(), {
      name: "MachineError",
      message: /^passt cannot serve net0: Failed to bind any port for .*$/,
    });
  });
});
