import assert from "node:assert/strict";
import { TestAgent } from "../agent/testing.ts";
import { Reactor } from "../os/mod.ts";
import { directly } from "./dialer.ts";
import { GuestAgent } from "./guest_agent.ts";
import { Log } from "./log.ts";

Deno.test("a guest without an agent, or with one that cannot, is no failure of the monitor", async () => {
  const dir = await Deno.makeTempDir();
  const lines: string[] = [];
  const log = new Log({ format: "text", level: "debug", write: (line) => lines.push(line) });
  using reactor = new Reactor();
  const agent = new GuestAgent({ runtime: dir, dialer: directly, reactor, log });
  await agent.setClock();
  assert.match(lines.pop() ?? "", /clock was not set.*no vsock device/);
  {
    await using _agent = await TestAgent.start(dir);
    await agent.powerOff();
    assert.match(lines.pop() ?? "", /not asked to power off.*only tried/);
  }
  assert.deepEqual(lines, []);
  await Deno.remove(dir, { recursive: true });
});
