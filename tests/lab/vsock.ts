import assert from "node:assert/strict";
import { type Bench, fromSource, type RunningGuest } from "./machine.ts";

/** Connections each way; 10,000 by hand. */
const CONNECTIONS = Number(Deno.env.get("SPECTRUM_VSOCK_CONNECTIONS") ?? 250);
const BYTES = 3000;
/** Seconds for all connections of one way: of what the lab emulates, some dozen in a second. */
const LIMIT = 120 + CONNECTIONS;
const HOST = new URL("../vsock/host.ts", import.meta.url).pathname;

/** Sockets between a guest and its host, all in one boot and what is restored from it. */
export async function vsockTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a guest and its host reach each other's ports", async (t) => {
    const spectrum = async (...words: string[]) => {
      const command = [...fromSource, ...words];
      const { status, stdout, stderr } = await bench.stage.run({ command, timeout: 300 });
      assert.equal(status, 0, `${words.join(" ")}: ${stderr}`);
      return stdout;
    };
    const device = async (vm: string): Promise<{ pid: number; socket: string; cid: number }> => {
      const { devices } = JSON.parse(await spectrum("info", vm, "--json"));
      const { pid, vsock } = devices.find(({ kind }: { kind: string }) => kind === "vsock");
      return { pid, ...vsock };
    };
    /** A program of the host in the background, when it has said so. */
    const host = async (said: string, ...words: readonly (string | number)[]) => {
      let output = "";
      const { promise, resolve } = Promise.withResolvers<void>();
      const process = await bench.stage.spawn({
        command: [Deno.execPath(), "run", "-A", "--no-check", HOST, ...words.map(String)],
        timeout: LIMIT + 600,
        onOutput(bytes) {
          output += new TextDecoder().decode(bytes);
          if (output.includes(said)) resolve();
        },
      });
      const ended = process.status.then((status) => {
        assert.ok(output.includes(said), `${words.join(" ")} ended with ${status}: ${output}`);
        return output;
      });
      await Promise.race([promise, ended]);
      return { process, ended };
    };
    const descriptors = async (pid: number, most: number) => {
      const { stdout } = await bench.sh(
        `i=0; while n=$(ls /proc/${pid}/fd | wc -l); [ $n -gt ${most} ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; echo $n`,
      );
      return Number(stdout);
    };

    await bench.sh("rm -rf /scratch/vsock");
    const guest = await bench.start(
      ["--name", "vs", "--memory", "128M", "--vsock"],
      bench.guest,
      2 * LIMIT + 600,
    );
    const { pid, socket, cid } = await device("vs");
    const monitor = Number(JSON.parse(await spectrum("info", "vs", "--json")).pid);
    const called = (output: string) => assert.match(output, /@called=0 of \d+ failed/);
    const echo = await host("@@echoes", "echo", socket, 6000);
    // The shell takes the end of a job of its own for the end of its input.
    const inBackground = (command: string) => guest.run(`(${command} &)`);
    await inBackground("vsock serve 5000");
    await guest.waitFor("@serves=5000");
    const before = [await descriptors(pid, 0), await descriptors(monitor, 0)];

    await t.step(`${CONNECTIONS} connections each way carry what they should`, async () => {
      assert.ok(cid >= 3);
      const began = performance.now();
      called(await guest.run(`vsock call 6000 ${CONNECTIONS} ${BYTES}`));
      const between = performance.now();
      await (await host("@@called", "call", socket, 5000, CONNECTIONS, BYTES)).ended;
      const times = [between - began, performance.now() - between].map((ms) =>
        (ms / 1000).toFixed(1)
      );
      console.log(`vsock: to the host in ${times[0]} s, to the guest in ${times[1]} s`);
    });

    await t.step("connections break off in many ways, and leave nothing behind", async () => {
      assert.match(await guest.run(`vsock drop 6000 ${CONNECTIONS / 10}`), /@dropped/);
      await (await host("@@dropped", "drop", socket, 5000, CONNECTIONS / 10)).ended;
      assert.match(await guest.run("vsock call 6001 1 1"), /@called=1 of 1 failed/);
      assert.equal(await descriptors(pid, before[0]), before[0]);
      assert.equal(await descriptors(monitor, before[1]), before[1]);
    });

    await t.step("the worker is killed: programs see that, and connect anew", async () => {
      await inBackground("vsock hold 6000");
      await inBackground("vsock call 6000 60 100000");
      await guest.waitFor("@held=6000");
      const held = await host("@@held", "hold", socket, 5000);
      await bench.sh(`kill -9 ${pid}`);
      assert.match(await held.ended, /@@ended (end|ConnectionReset)/);
      await guest.waitFor("@ended=ECONNRESET");
      await guest.until(() => guest.output.includes("of 60 failed"), LIMIT);
      await both(guest, "vs");
    });

    await t.step("a snapshot disturbs nobody; what is restored from it is told", async () => {
      const at = guest.output.length;
      await inBackground("vsock hold 6000");
      await guest.until(() => guest.output.includes("@held=6000", at));
      await spectrum("pause", "vs");
      await spectrum("snapshot", "vs", "/scratch/vsock");
      await spectrum("resume", "vs");
      await both(guest, "vs");
      assert.ok(!guest.output.includes("@ended", at));
      await guest.powerOff();
      await spectrum("run", "--restore", "/scratch/vsock", "--name", "again", "--detach");
      const log = "$XDG_RUNTIME_DIR/spectrum/again/console.log";
      await bench.sh(`while ! grep -q "@ended=ECONNRESET" ${log}; do sleep 0.2; done`);
      const again = await device("again");
      assert.equal(again.cid, cid);
      await (await host("@@called", "call", again.socket, 5000, 20, BYTES)).ended;
      await spectrum("stop", "--force", "again");
    });
    await echo.process.signal(9);
    await echo.ended.catch(() => {});

    async function both(guest: RunningGuest, vm: string): Promise<void> {
      called(await guest.run(`vsock call 6000 20 ${BYTES}`));
      const { socket } = await device(vm);
      await (await host("@@called", "call", socket, 5000, 20, BYTES)).ended;
    }
  });
}
