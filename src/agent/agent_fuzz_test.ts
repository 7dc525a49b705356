// A hostile agent in a guest, against the host that talks to it.
import assert from "node:assert/strict";
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { AgentError } from "./agent_error.ts";
import { copyFromGuest } from "./copy_from_guest.ts";
import { copyToGuest } from "./copy_to_guest.ts";
import { GuestProcess } from "./guest_process.ts";
import { frame, hello, HostileAgent } from "./hostile_agent.ts";
import { FrameType } from "./protocol.ts";
import { runCommand } from "./run_command.ts";

const TYPES = Object.values(FrameType);

async function converse(agent: HostileAgent, dice: Dice): Promise<void> {
  const into = `${agent.dir}/into`;
  Deno.mkdirSync(into, { recursive: true });
  const frames = Array.from(
    { length: dice.below(20) },
    () => frame(dice.of(TYPES), dice.bytes(dice.below(40))),
  );
  if (dice.once(3)) frames.push(dice.bytes(dice.below(100)));
  const tries = [
    async () => await runCommand(await GuestProcess.start(await agent.connect(), ["true"]), {}),
    async () => await copyFromGuest(await agent.connect(), "/x", into),
    async () => await copyToGuest(await agent.connect(), into, "/x"),
  ];
  const turn = dice.below(tries.length);
  agent.says = turn === 0 ? [hello, frame(FrameType.Started), ...frames] : [hello, ...frames];
  try {
    await tries[turn]();
  } catch (error) {
    // What it calls a file may have any name, and not every name is possible.
    const isFair = error instanceof AgentError || error instanceof Error && "code" in error;
    assert.ok(isFair, String(error));
  }
  const left = [...Deno.readDirSync(agent.dir)].map(({ name }) => name).sort();
  assert.deepEqual(left, ["into", "vsock.sock"]);
}

fuzzTest({
  name: "agent",
  promise: "whatever an agent says is an error or an answer, and stays where it was sent",
  async play(dice) {
    await using agent = new HostileAgent();
    let conversations = 0;
    for (; !dice.isOver; conversations++) await converse(agent, dice);
    return conversations;
  },
  turns: 500,
  tapeLength: 2 ** 11,
});
