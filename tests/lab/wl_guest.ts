import assert from "node:assert/strict";
import { guestScript } from "../../scripts/lab/mod.ts";
import { monitorFlags } from "../../src/os/mod.ts";
import { type Bench, fromSource } from "./machine.ts";
import { EXCHANGED } from "./wl/exchange.ts";
import { workDisk } from "./wl/work_disk.ts";

/** Messages of the property test, each way; SPECTRUM_MESSAGES for more, by hand. */
const COUNT = Number(Deno.env.get("SPECTRUM_MESSAGES") ?? 100);
const SEED = Number(Deno.env.get("SPECTRUM_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** Seconds for all that the guest does. */
const LIMIT = 600;
/** Where the compositor listens, below the runtime directory. */
const DISPLAY = "wayland-lab";

const deno = `deno run ${monitorFlags.join(" ")}`;

/** What the guest runs, all in one boot: the first start of Deno there takes seconds. */
const GUEST = `
export HOME=/tmp DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1 XDG_RUNTIME_DIR=/run NO_COLOR=1
${deno} /work/in_guest.js send up ${COUNT} ${SEED}
${deno} /work/in_guest.js receive down ${SEED + 1}
${deno} /work/in_guest.js exchange exchange ${SEED + 3}
for name in wayland closed nowhere; do
  ${deno} /work/spectrum.js guest connect $name >/tmp/$name.out 2>&1 &
  pids="$pids $!"
done
for name in wayland closed nowhere; do
  while ! grep -q Listening /tmp/$name.out; do sleep 0.1; done
done
echo @@globals
wayland-info
echo "@@status $?"
for name in closed nowhere; do WAYLAND_DISPLAY=/run/$name wayland-info; done
kill $pids
wait $pids
for name in wayland closed nowhere; do echo "@@$name $(tail -n 1 /tmp/$name.out)"; done
echo "@@left $(ls /run)"
`;

/** Programs in a guest that talk to the host over Virtio Wayland: ours, and a Wayland client that knows nothing of it. */
export async function wlGuestTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a guest's programs reach sockets of the host", async (t) => {
    console.log(`${COUNT} messages each way, SPECTRUM_SEED=${SEED}`);
    const { folder, image } = await workDisk(bench, ["lab/wl/in_guest", "lab/wl/on_host"], GUEST);
    const env = { WAYLAND_DISPLAY: DISPLAY };
    const background = async (command: readonly string[], ready: string) => {
      let output = "";
      const decoder = new TextDecoder();
      const { promise, resolve } = Promise.withResolvers<void>();
      const process = await bench.stage.spawn({
        command,
        timeout: LIMIT,
        onOutput(bytes) {
          output += decoder.decode(bytes, { stream: true });
          if (output.includes(ready)) resolve();
        },
      });
      const ended = process.status.then((status) => {
        throw new Error(`${command[0]} ended with ${status}: ${output}`);
      });
      await Promise.race([promise, ended]);
      ended.catch(() => {});
      return { process, output: () => output };
    };
    const weston = await background([
      ...["weston", "--backend=headless-backend.so", "--shell=kiosk-shell.so"],
      ...["--no-config", "--idle-time=0", `--socket=${DISPLAY}`],
    ], "weston/kiosk-shell.so'");
    const host = await background(
      [
        ...[Deno.execPath(), "run", ...monitorFlags, `${folder}/work/on_host.js`],
        ...[folder, `${COUNT}`, `${SEED}`],
      ],
      "@@ready",
    );
    const direct = await bench.stage.run({
      command: [
        ...["sh", "-c"],
        `while [ ! -S "$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY" ]; do sleep 0.1; done; exec wayland-info`,
      ],
      env,
      timeout: 60,
    });
    assert.equal(direct.status, 0, direct.stderr + weston.output());

    const { kernel, initrd, deno } = bench.guest;
    const file = `
      name = "wl-guest"
      kernel = "${kernel}"
      initrd = "${initrd}"
      cmdline = "quiet ${guestScript("sh /work/test.sh")}"
      memory = "512M"
      [[disk]]
      path = "${deno}"
      readonly = true
      [[disk]]
      path = "${image}"
      readonly = true
      [wl.sockets]
      wayland = "auto"
      up = "${folder}/up"
      down = "${folder}/down"
      exchange = "${folder}/exchange"
      closed = "${folder}/closed"`;
    await bench.stage.run({
      command: ["sh", "-c", `cat >${folder}/vm.toml`],
      stdin: file,
    });
    const { status, stdout, stderr } = await bench.stage.run({
      command: [...fromSource, "run", `${folder}/vm.toml`],
      env,
      timeout: LIMIT,
    });
    await weston.process.signal(15);
    assert.equal(status, 0, stderr + stdout);
    const said = (text: string, role: string) => {
      const line = text.split(/\r?\n/).find((line) => line.startsWith(`@@{"role":"${role}"`));
      assert.ok(line !== undefined, `nothing of ${role}: ${stdout}\n${host.output()}\n${stderr}`);
      return JSON.parse(line.slice(2));
    };
    const word = (name: string) => new RegExp(`@@${name} (.*?)\r?\n`).exec(stdout)?.[1];

    await t.step("message sockets, guest to host, with descriptors", () => {
      const { seconds, result } = said(stdout, "send");
      checkMessages(result);
      console.log(`guest to host: ${rates(result, seconds)}`);
    });

    await t.step("message sockets, host to guest, with descriptors", () => {
      checkMessages(said(host.output(), "down").result);
      const { seconds } = said(stdout, "receive");
      console.log(`host to guest: ${rates(said(host.output(), "down").result, seconds)}`);
    });

    await t.step("8 MiB of random data each way at once", () => {
      const guest = said(stdout, "exchange");
      const { result } = said(host.output(), "exchange");
      assert.equal(guest.result.received, result.sent);
      assert.equal(guest.result.sent, result.received);
      console.log(
        `both ways at once: ${(EXCHANGED / 1e6 / guest.result.seconds).toFixed(1)} MB/s each`,
      );
    });

    await t.step("wayland-info sees the compositor of the host, by spectrum guest connect", () => {
      const [, globals, code] = /@@globals\r?\n([^]*?)@@status (\d+)/.exec(stdout) ?? [];
      assert.equal(code, "0", stdout);
      assert.match(globals, /interface: 'wl_compositor'/);
      assert.equal(globals.replaceAll("\r", ""), direct.stdout);
    });

    await t.step("what cannot be reached is told, and no socket is left", () => {
      assert.equal(word("wayland"), "Listening at /run/wayland-0");
      assert.match(word("closed") ?? "", /warn: .*The host cannot connect "closed"/);
      assert.match(word("nowhere") ?? "", /The host has no socket "nowhere" for this VM/);
      assert.equal(word("left"), "");
    });
  });
}

function checkMessages({ messages, descriptors, bytes, ...rest }: Record<string, unknown>): void {
  assert.deepEqual(rest, { wrong: "", leaked: 0, leakedBySender: 0 });
  assert.equal(messages, COUNT);
  assert.ok(Number(descriptors) > COUNT && Number(bytes) > 0);
}

function rates(result: Record<string, number>, seconds: number): string {
  const { messages, descriptors, bytes } = result;
  return `${messages} messages, ${descriptors} descriptors, ${(bytes / 1e6).toFixed(1)} MB in ${
    seconds.toFixed(1)
  } s: ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
}
