// `dist/spectrum`, made here from the runtime at hand: it needs nothing beside itself.
import assert from "node:assert/strict";
import { join } from "node:path";
import { root } from "../../scripts/root.ts";
import { MESSAGE_SOCKET, policies, workerMessages } from "../../src/devices/mod.ts";
import { AsyncPeer, unixTransport } from "../../src/msg/mod.ts";
import { openFile, Reactor, Seal, seals, socketPair } from "../../src/os/mod.ts";
import { assertLockedOnTerminal } from "./lock_report.ts";
import { Starter, workerEnvironment } from "../../src/sandbox/mod.ts";

/** The executable, alone in a folder. */
async function withExecutable(test: (path: string, folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-alone-" });
  const path = join(folder, "spectrum");
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "scripts/compile.ts", "--self-contained", "--output", path],
      cwd: root,
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    await test(path, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Held {
  readonly fd: string;
  readonly target: string;
}

/** The descriptors of a worker once it has settled. */
async function settledDescriptors(pid: number): Promise<Held[]> {
  let before = -1;
  for (let i = 0; i < 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const names = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => name);
    const isNamed = Deno.readTextFileSync(`/proc/${pid}/comm`) === "spectrum-device\n";
    if (isNamed && names.length === before) {
      return names.map((fd) => ({ fd, target: Deno.readLinkSync(`/proc/${pid}/fd/${fd}`) }));
    }
    before = names.length;
  }
  throw new Error("The worker's descriptors do not settle");
}

interface Run {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  path: string,
  args: string[],
  options: Partial<Deno.CommandOptions> = {},
): Promise<Run> {
  const { code, signal, stdout, stderr } = await new Deno.Command(path, {
    args,
    clearEnv: true,
    stdin: "null",
    ...options,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, signal, stdout: text(stdout), stderr: text(stderr) };
}

const version =
  (JSON.parse(Deno.readTextFileSync(join(root, "deno.json"))) as { version: string }).version;

Deno.test("the single executable", async (t) => {
  await withExecutable(async (path, folder) => {
    await t.step(
      "runs without environment, in an empty folder, and leaves nothing there",
      async () => {
        const { code, stdout, stderr } = await run(path, ["--version"], { cwd: folder });
        assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${version}\n`, stderr: "" });
        assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["spectrum"]);
      },
    );

    await t.step("runs where no standard stream is open", async () => {
      const closed = await run("/bin/sh", ["-c", `"$1" --version <&- >&- 2>&-`, "sh", path]);
      assert.equal(closed.code, 0);
      const halfClosed = await run("/bin/sh", ["-c", `"$1" --version <&-`, "sh", path]);
      assert.equal(halfClosed.stdout, `${version}\n`);
    });

    await t.step("hands on its arguments and its status", async () => {
      const { code, stderr } = await run(path, ["run", "a file%a\tthat is not there.toml"]);
      assert.equal(code, 1);
      assert.match(stderr, /a file%a\tthat is not there\.toml/);
    });

    await t.step(
      "takes as much environment as the system allows, and none of the runtime's",
      async () => {
        const env: Record<string, string> = {
          DENO_V8_FLAGS: "--nonsense",
          NODE_OPTIONS: "--require /none",
        };
        for (let i = 0; i < 2000; i++) env[`VARIABLE_${i}`] = "x".repeat(200);
        const { code, stdout } = await run(path, ["--version"], { env });
        assert.deepEqual({ code, stdout }, { code: 0, stdout: `${version}\n` });
      },
    );

    await t.step("runs when it has been replaced, also as a worker", async () => {
      const moved = join(folder, "moved");
      await Deno.link(path, moved);
      const script = `exec 9<"$1"; rm "$1"; exec /proc/self/fd/9 --version`;
      const { stdout, stderr } = await run("/bin/sh", ["-c", script, "sh", moved]);
      assert.deepEqual({ stdout, stderr }, { stdout: `${version}\n`, stderr: "" });
    });

    await t.step("becomes a worker by its name, which holds two sealed files of ours", async () => {
      using reactor = new Reactor();
      const starter = Starter.spawn(reactor);
      try {
        const [ours, theirs] = socketPair();
        using frontend = ours;
        const [monitor, socket] = socketPair();
        using peer = new AsyncPeer(unixTransport(monitor), reactor, {
          calls: workerMessages,
          serves: {},
          handlers: {},
        });
        const ready = peer.request("setUp", {
          device: { kind: "rng" },
          frontend: { how: "connected", socket: theirs },
        });
        using program = openFile(path);
        const child = await starter.start({
          argv: ["spectrum-device", "rng"],
          env: workerEnvironment(policies.rng),
          descriptors: [{ fd: socket, as: MESSAGE_SOCKET }],
          program,
        });
        socket.close();
        await ready;
        const held = await settledDescriptors(child.pid);
        const named = held.map(({ target }) => target).filter((target) => target.includes("/"));
        // The runtime has copies of the standard streams.
        const standard = ["0", "1", "2"].map((fd) => held.find((one) => one.fd === fd)?.target);
        assert.deepEqual(named.filter((target) => !standard.includes(target)).sort(), [
          "/memfd:libspectrum.so (deleted)",
          "/memfd:spectrum-device (deleted)",
        ]);
        for (const { fd, target } of held) {
          if (!target.startsWith("/memfd:")) continue;
          using file = openFile(`/proc/${child.pid}/fd/${fd}`);
          assert.equal(seals(file) & 0xf, Seal.Seal | Seal.Shrink | Seal.Grow | Seal.Write, target);
        }
        // The engine was told to make no code.
        assert.doesNotMatch(await Deno.readTextFile(`/proc/${child.pid}/maps`), / .wx. /);
        frontend[Symbol.dispose]();
        await child.exited;
      } finally {
        await starter.close();
      }
    });

    await t.step(
      "its workers can do nothing once they are set up, also on a terminal",
      async () => {
        await assertLockedOnTerminal(`-a spectrum-device ${path}`);
      },
    );

    await t.step("says what is wrong when memory files are refused", async () => {
      // One descriptor beside the standard ones: enough for the dynamic linker, not for us.
      const script = `ulimit -n 4; exec "$1" --version`;
      const { code, stderr } = await run("/bin/sh", ["-c", script, "sh", path]);
      const expected = "spectrum: cannot start: memfd_create is refused\n";
      assert.deepEqual({ code, stderr }, { code: 2, stderr: expected });
    });
  });
});
