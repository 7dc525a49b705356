import assert from "node:assert/strict";
import { AgentError } from "./agent_error.ts";
import { connectAgent } from "./connect_agent.ts";
import { concat, u32 } from "./connection.ts";
import { copyFromGuest } from "./copy_from_guest.ts";
import { GuestProcess } from "./guest_process.ts";
import { encode, frame, hello, HostileAgent } from "./hostile_agent.ts";
import { FrameType, MAGIC, MAX_PAYLOAD } from "./protocol.ts";
import { runCommand } from "./run_command.ts";
import { encodeEntry, encodeLink } from "./tree_entry.ts";

const file = (name: string) =>
  frame(FrameType.Regular, encodeEntry({ name, mode: 0o644, modified: new Date(0) }));
const folder = (name: string) =>
  frame(FrameType.Folder, encodeEntry({ name, mode: 0o755, modified: new Date(0) }));
const link = (name: string, target: string) => frame(FrameType.Link, encodeLink(name, target));
const content = frame(FrameType.Content, encode("evil"));
const leave = frame(FrameType.Leave);
const done = frame(FrameType.Done);

Deno.test("an agent that says nonsense is an error, whatever it says", async (t) => {
  await using agent = new HostileAgent();
  const commands = async (...says: Uint8Array[]) => {
    agent.says = [hello, ...says];
    await runCommand(await GuestProcess.start(await agent.connect(), ["true"]), {});
  };
  const started = frame(FrameType.Started);

  await t.step("when greeted", async () => {
    for (
      const answer of ["", "OK", "OK x\n", "NO 5\n", "OK 5", `OK ${"5".repeat(100)}\n`, "\n\n\n"]
    ) {
      agent.answer = encode(answer);
      await assert.rejects(agent.connect(), AgentError, JSON.stringify(answer));
    }
    agent.answer = encode("OK 5\n");
    for (
      const says of [
        frame(FrameType.Hello),
        frame(FrameType.Hello, encode("spectrumx")),
        frame(FrameType.Started),
        concat(u32(0xffff_ffff), u32(1)),
      ]
    ) {
      agent.says = [says];
      await assert.rejects(agent.connect(), AgentError);
    }
    agent.says = [frame(FrameType.Hello, concat(encode(MAGIC), u32(2)))];
    await assert.rejects(agent.connect(), /speaks version 2/);
  });
  await t.step("while a command runs", async () => {
    const broken: readonly Uint8Array[][] = [
      [],
      [frame(FrameType.Exited)],
      [started],
      [started, frame(FrameType.Exited)],
      [started, frame(FrameType.Exited, concat(u32(256), u32(0)))],
      [started, frame(FrameType.Exited, concat(u32(0), u32(65)))],
      [started, frame(FrameType.InputCredit)],
      [started, frame(FrameType.InputCredit, u32(0xffff_ffff))],
      [started, frame(FrameType.Failed)],
      [started, frame(FrameType.Folder)],
      [started, frame(77)],
      [started, started],
      [started, concat(u32(MAX_PAYLOAD + 1), u32(FrameType.Output))],
    ];
    for (const says of broken) await assert.rejects(commands(...says), AgentError);
  });
  await t.step("more output than was asked for", async () => {
    agent.says = [hello, started, ...Array(9).fill(frame(49, new Uint8Array(MAX_PAYLOAD)))];
    const process = await GuestProcess.start(await agent.connect(), ["true"]);
    await assert.rejects(process.status, /more than it may/);
  });
  await t.step("text for the terminal", async () => {
    const says = frame(FrameType.Failed, concat(u32(99), encode("\x1b]0;owned\x07\n")));
    await assert.rejects(commands(says), (error) => {
      assert.ok(error instanceof AgentError);
      assert.deepEqual([error.exitStatus, error.message], [125, "?]0;owned??"]);
      return true;
    });
  });
  await t.step(
    "silence ends when the VM does, and before that when the user has enough",
    async () => {
      agent.closes = false;
      agent.says = [];
      agent.answer = encode("");
      await assert.rejects(connectAgent(agent.socket, { waitMs: 100 }), /within 0.1 s/);
      agent.answer = encode("OK 5\n");
      await assert.rejects(connectAgent(agent.socket, { waitMs: 100 }), /within 0.1 s/);
      agent.says = [hello, started];
      const process = await GuestProcess.start(await agent.connect(), ["true"]);
      process[Symbol.dispose]();
      await assert.rejects(process.status, AgentError);
      agent.closes = true;
    },
  );
});

Deno.test("a copy from a guest stays where it was sent", async (t) => {
  await using agent = new HostileAgent();
  const outside = `${agent.dir}/outside`, into = `${agent.dir}/into`;
  Deno.mkdirSync(outside);
  Deno.writeTextFileSync(`${outside}/precious`, "mine");
  const attempts: Record<string, readonly Uint8Array[]> = {
    "a name with a slash": [folder("x"), file("../../outside/precious"), content, leave],
    "a name that is the parent": [folder("x"), folder(".."), file("precious"), content],
    "the folder itself": [folder("x"), folder("."), leave],
    "an absolute name": [file(`${outside}/new`), content, leave],
    "an empty name": [file(""), content, leave],
    "a NUL in a name": [file("a\0b"), content, leave],
    "a folder through a link": [
      ...[folder("x"), link("sub", outside), folder("sub"), file("precious"), content, leave],
    ],
    "a file through a link": [
      ...[folder("x"), link("f", `${outside}/precious`), file("f"), content, leave, leave, done],
    ],
    "a link at the top, then a second thing": [link("x", outside), folder("x"), file("precious")],
    "leaving more than was entered": [folder("x"), leave, leave, file("precious"), content],
    "content of a folder": [folder("x"), content],
    "a file in a file": [folder("x"), file("a"), file("b"), content],
    "a link in a file": [file("a"), link("b", outside)],
    "an end inside": [folder("x"), done],
    "nothing": [done],
    "deeper than can be": Array(300).fill(folder("d")),
    "a name too long": [file("n".repeat(256)), leave, done],
    "bytes that are no text": [
      frame(FrameType.Regular, concat(new Uint8Array(16), new Uint8Array([0xff]))),
    ],
  };
  for (const [name, says] of Object.entries(attempts)) {
    await t.step(name, async () => {
      Deno.mkdirSync(into);
      agent.says = [hello, ...says];
      const copying = copyFromGuest(await agent.connect(), "/x", into);
      // That one replaces the link, and is good.
      if (name === "a file through a link") await copying;
      else await assert.rejects(copying, AgentError);
      assert.equal(Deno.readTextFileSync(`${outside}/precious`), "mine");
      assert.deepEqual([...Deno.readDirSync(outside)].length, 1);
      assert.deepEqual([...Deno.readDirSync(agent.dir)].map(({ name }) => name).sort(), [
        ...["into", "outside", "vsock.sock"],
      ]);
      Deno.removeSync(into, { recursive: true });
    });
  }
  await t.step("a link that was there before", async () => {
    Deno.mkdirSync(`${into}/x`, { recursive: true });
    Deno.symlinkSync(outside, `${into}/x/sub`);
    agent.says = [hello, folder("x"), folder("sub"), file("precious"), content, leave];
    await assert.rejects(copyFromGuest(await agent.connect(), "/x", into), AgentError);
    assert.equal(Deno.readTextFileSync(`${outside}/precious`), "mine");
  });
  await t.step("no set-user-ID", async () => {
    const mode = concat(u32(0o6755), u32(0), new Uint8Array(8), encode("s"));
    agent.says = [hello, frame(FrameType.Regular, mode), leave, done];
    await copyFromGuest(await agent.connect(), "/x", into);
    assert.equal((Deno.statSync(`${into}/s`).mode ?? 0) & 0o7777, 0o755);
  });
});
