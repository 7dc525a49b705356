import assert from "node:assert/strict";
import { GUEST_READY, LabSession, TREE } from "../../scripts/lab/mod.ts";
import { type Bench, fromSource } from "./machine.ts";

/** Two VMs at once, seen and driven by the commands. */
export async function commandTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "two detached VMs", async (t) => {
    const spectrum = async (...words: string[]) =>
      await bench.stage.run({ command: [...fromSource, ...words], timeout: 300 });
    const good = async (...words: string[]) => {
      const { status, stdout, stderr } = await spectrum(...words);
      assert.equal(status, 0, `${words.join(" ")}: ${stderr}${stdout}`);
      return stdout;
    };
    const detached = (name: string) =>
      good(...bench.flags(["--detach", "--name", name, "--memory", "128M", "--rng"], ""));
    const names = async (...flags: string[]): Promise<string[]> =>
      JSON.parse(await good("ps", "--json", ...flags)).map(({ name }: { name: string }) => name);

    await t.step("run side by side, and ps lists both", async () => {
      const printed = await Promise.all([detached("one"), detached("two")]);
      assert.deepEqual(printed, ["one\n", "two\n"]);
      assert.deepEqual(await names(), ["one", "two"]);
      assert.match(await good("ps"), /^NAME .*\none +running .* 128 MiB\ntwo +running/);
    });

    await t.step("a name is taken once", async () => {
      const { status, stderr } = await spectrum(...bench.flags(["--detach", "--name", "one"], ""));
      assert.equal(status, 1);
      assert.match(stderr, /A VM named "one" runs already/);
    });

    await t.step("their consoles answer to each its own", async () => {
      // It prints this when it takes commands; the log has it from the start.
      await bench.sh(
        `for n in one two; do while ! grep -q "${GUEST_READY}" $XDG_RUNTIME_DIR/spectrum/$n/console.log; do sleep 0.2; done; done`,
      );
      for (const name of ["one", "two"]) {
        const { status, stdout } = await bench.stage.run({
          command: [...fromSource, "console", name],
          stdin: `echo "$((40 + 2)) of ${name}"\n`,
          timeout: 100,
        });
        assert.equal(status, 0);
        assert.match(stdout, new RegExp(`42 of ${name}`));
      }
    });

    await t.step("a terminal attaches, and detaches by its escape key", async () => {
      // A stage that is this machine has no terminals to give.
      if (!(bench.stage instanceof LabSession)) return;
      let seen = "";
      const decoder = new TextDecoder();
      const attached = await bench.stage.spawn({
        command: [...fromSource, "console", "one"],
        terminal: { rows: 24, columns: 80 },
        onOutput: (bytes) => seen += decoder.decode(bytes, { stream: true }),
      });
      while (!seen.includes("42 of one")) await new Promise((resolve) => setTimeout(resolve, 50));
      await attached.write("echo $((50 + 5)) typed\n");
      while (!seen.includes("55 typed")) await new Promise((resolve) => setTimeout(resolve, 50));
      await attached.write("\x01d");
      assert.equal(await attached.status, 0, seen);
      assert.match(seen, /detached from "one"/);
    });

    await t.step("pause, resume, info, metrics; a wrong name is corrected", async () => {
      await good("pause", "one");
      const paused = JSON.parse(await good("info", "--json", "one"));
      assert.equal(paused.state, "paused");
      assert.deepEqual(paused.devices.map(({ name }: { name: string }) => name), ["rng"]);
      await good("resume", "one");
      assert.match(await good("metrics", "one"), /spectrum_vcpu_exits_total\{vm="one",/);
      const { status, stderr } = await spectrum("info", "tow");
      assert.equal(status, 1);
      assert.match(stderr, /No VM named "tow" runs\. Did you mean "two"\?/);
    });

    await t.step(
      "all threads of a monitor are confined, and those of vCPUs once more",
      async () => {
        const { pid, cpus } = JSON.parse(await good("info", "--json", "one"));
        const { stdout } = await bench.sh(`cat /proc/${pid}/task/*/status`);
        const values = (name: string) =>
          [...stdout.matchAll(new RegExp(`^${name}:\\s+(\\d+)$`, "gm"))].map(([, value]) => value);
        const SECCOMP_MODE_FILTER = "2";
        assert.deepEqual([...new Set(values("Seccomp"))], [SECCOMP_MODE_FILTER], stdout);
        const filters = values("Seccomp_filters");
        assert.deepEqual([...new Set(filters)].sort(), ["1", "2"]);
        assert.equal(filters.filter((count) => count === "2").length, cpus);
      },
    );

    await t.step("a program boots a third by the library, talks to it and stops it", async () => {
      const { kernel, initrd } = bench.guest;
      const program = `
        import { Vm } from "${TREE}/mod.ts";
        await using vm = await Vm.start({ kernel: "${kernel}", initrd: "${initrd}", memory: "128M" });
        await using terminal = await vm.console();
        let seen = "", asked = false;
        for await (const text of terminal.readable.pipeThrough(new TextDecoderStream())) {
          seen += text;
          if (!asked && seen.includes("${GUEST_READY}")) {
            asked = true;
            await terminal.send("echo answer $((6 * 7))\\n");
          }
          if (seen.includes("answer 42")) break;
        }
        console.log("state", (await vm.info()).state, JSON.stringify(await vm.stop({ graceMs: 100 })));`;
      const { status, stdout, stderr } = await bench.stage.run({
        command: [Deno.execPath(), "run", "-A", "--no-check", "--ext=ts", "-"],
        stdin: program,
        timeout: 300,
      });
      assert.equal(status, 0, stderr);
      assert.equal(stdout, 'state running {"kind":"off"}\n');
      assert.deepEqual(await names(), ["one", "two"]);
    });

    await t.step("a saved VM goes on in another", async () => {
      // Slow enough for what is typed to be over, as `console` sees it, between two lines.
      const counter = "i=0; while sleep 3; do i=$((i+1)); echo count $i; done";
      await bench.stage.run({
        command: [...fromSource, "console", "two"],
        stdin: `(${counter}) &\n`,
        timeout: 100,
      });
      await good("pause", "two");
      await good("snapshot", "two", "/scratch/two");
      const last = (log: string) => Number(log.match(/count \d+/g)?.at(-1)?.slice(6));
      const saved = last(await good("logs", "--console", "two"));
      await good("run", "--restore", "/scratch/two", "--name", "third", "--detach");
      await bench.sh(
        `while ! grep -q "count ${
          saved + 3
        }" $XDG_RUNTIME_DIR/spectrum/third/console.log; do sleep 0.2; done`,
      );
      const [, first] = /count (\d+)/.exec(await good("logs", "--console", "third")) ?? [];
      assert.ok(Math.abs(Number(first) - saved) <= 1, `${first} after ${saved}`);
      await good("stop", "--force", "third");
      await good("resume", "two");
    });

    await t.step("stop ends one of them; its logs stay", async () => {
      await good("stop", "--grace", "1", "two");
      assert.deepEqual(await names(), ["one"]);
      assert.deepEqual(await names("--all"), ["one", "third", "two"]);
      assert.match(await good("logs", "--console", "two"), /42 of two/);
      assert.equal(typeof await good("logs", "two"), "string");
    });

    await t.step("kill -9 of a monitor leaves nothing that is in the way", async () => {
      const { pid, devices: [{ pid: worker }] } = JSON.parse(await good("info", "--json", "one"));
      await bench.sh(`kill -9 ${pid}; while [ -d /proc/${worker} ]; do sleep 0.1; done`);
      assert.deepEqual(await names(), []);
      assert.equal((await spectrum("info", "one")).status, 1);
      await detached("one");
      assert.deepEqual(await names(), ["one"]);
      await good("stop", "--force", "one");
      const left = await bench.sh("ps | grep -c '[d]evice.js\\|spectrum.js [m]onitor'");
      assert.equal(left.stdout.trim(), "0");
    });
  });
}
