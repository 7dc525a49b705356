import assert from "node:assert/strict";
import { guestScript, TREE } from "../../scripts/lab/mod.ts";
import type { StageProcess } from "../../scripts/stage.ts";
import { type Bench, fromSource } from "./machine.ts";

/** By hand 1024, 5000 and 1000000. Two VFDs make a turn. */
const STREAM_MIB = Number(Deno.env.get("SPECTRUM_WL_MIB") ?? 64);
const MEMORY_TURNS = Number(Deno.env.get("SPECTRUM_WL_TURNS") ?? 500);
const LIES = Number(Deno.env.get("SPECTRUM_WL_LIES") ?? 20_000);

const SOCKETS = ["--wl-socket", "test=/tmp/wl.sock", "--wl-socket", "dead=/tmp/wl-dead.sock"];

/**
 * A disk of the guest's own, `$loop`. A virtio disk would not do: its backend knows nothing of the memory that another
 * device shares, and takes such a buffer for a fault of the driver.
 */
const LOOP_DISK =
  "dd if=/dev/zero of=/tmp/disk bs=1M count=16 2>/dev/null; loop=$(losetup -f); losetup $loop /tmp/disk";

/** What the guest's kernel says when something of it broke. */
const BROKEN = /BUG|WARNING|Oops|KASAN|general protection|possible .* deadlock|Call Trace/;

/** Virtio Wayland between C programs in a guest and the host; the driver with a device that lies. */
export async function wlTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "C programs share everything with the host", async (t) => {
    const host = await startHost(bench);
    const vm = await bench.start(SOCKETS, bench.wl.small);
    await vm.run("dmesg -c >/dev/null");
    const passes = async (tests: string) => {
      const output = await vm.run(`wl_guest ${tests}; dmesg | grep -E "${BROKEN.source}"`);
      assert.doesNotMatch(output, /failed|Call Trace/, `${output}\n${host.said()}`);
      assert.match(output, /wl: \w+ ok/);
      assert.equal(host.said().trim(), "host: ready");
    };

    await t.step("VFDs of all kinds, and their ends", () => passes("readonly pipes 3 events 200"));
    await t.step("descriptors pass between processes", () => passes("pass many 6"));
    await t.step("what nobody reads stops nobody else", () => passes("silent"));
    await t.step("6 GiB of the host's memory", () => passes("big 6"));
    await t.step("contexts end, names are the host's to give", () => passes("hangup"));
    await t.step(
      "random data both ways at once",
      () => passes(`stream ${STREAM_MIB}`),
    );
    await t.step("memory comes and goes, and leaves nothing behind", async () => {
      const before = await held(bench);
      await passes(`memory ${MEMORY_TURNS}`);
      assert.deepEqual(await held(bench), before);
    });
    await t.step("a device that dies takes what was open with it, and comes back", async () => {
      await vm.process.write('wl_guest death; echo "it ends with $?"\n');
      await vm.waitFor("wl: death awaits");
      await bench.sh(`kill -9 $(${WORKER})`);
      await vm.waitFor("it ends with ");
      assert.match(vm.output, /wl: death ok/);
    });
    await t.step("the driver lets go of its device and takes it again", async () => {
      await vm.run(`cd /sys/bus/virtio/drivers/virtio_wl; d=$(ls | grep virtio)
        (exec 3</dev/wl0; echo $d >unbind; ls /dev/wl0; echo $d >bind); cd`);
      await passes("pass");
    });
    assert.equal(await vm.powerOff(), 0);
    await host.stop();
  });

  await bench.step(
    t,
    "the driver as a module of Debian's kernel; its memory is cached",
    async () => {
      const host = await startHost(bench);
      const script = `
dmesg -c >/dev/null
insmod /modules/virtio_wl.ko && mount -t debugfs d /sys/kernel/debug
wl_guest cached /sys/kernel/debug/x86/pat_memtype_list pass pipes 1 events 20 memory 5
${LOOP_DISK}
sleep 1; rmmod virtio_wl && insmod /modules/virtio_wl.ko pages=1 &&
wl_guest cached /sys/kernel/debug/x86/pat_memtype_list memory 5 direct $loop && echo "all is well"
dmesg | grep -E "${BROKEN.source}"`;
      const { status, stdout, stderr } = await bench.boot(script, SOCKETS, {
        guest: bench.wl.debian,
      });
      assert.equal(status, 0, stderr);
      assert.match(stdout, /all is well/, stdout + host.said());
      assert.match(stdout, /wl: .*write-back/);
      assert.doesNotMatch(stdout, /failed|Call Trace/);
      await host.stop();
    },
  );

  await bench.step(t, "a device that lies does not break the driver", async () => {
    const { guest, process, said } = await startLiar(bench);
    const script = `
memory() { sed -n "s/^$1: *\\([0-9]*\\).*/\\1/p" /proc/meminfo; }
dmesg -c >/dev/null
echo "before $(memory MemAvailable)"; wl_guest hostile 4; sleep 3; echo "after $(memory MemAvailable)"
dmesg | grep -E "${BROKEN.source}"`;
    const { status, stdout, stderr } = await bench.stage.run({
      command: [
        ...[...fromSource, "run", "/tmp/liar.toml", "--kernel", guest.kernel],
        ...["--initrd", guest.initrd, "--cmdline", `quiet ${guestScript(script)}`],
      ],
      timeout: Math.max(600, LIES / 50),
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /wl: hostile ok/, `${stdout}\n${said()}`);
    assert.doesNotMatch(stdout, /failed|Call Trace/, said());
    const [, before, after] = /before (\d+)[^]*after (\d+)/.exec(stdout) ?? [];
    assert.ok(Number(before) - Number(after) < 8192, `${before} KiB were free, then ${after}`);
    await process.signal(9);
    await process.status;
  });
}

/** A shell command that prints the process number of the worker. */
const WORKER = "for p in /proc/[0-9]*; do " +
  "tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '[d]evice.js wl' && echo ${p#/proc/}; done";

/** Descriptors and mappings of shared memory that monitor and worker hold. */
async function held(bench: Bench): Promise<string[]> {
  // The guest closes memory in the background.
  const { stdout } = await bench.sh(`sleep 2; for p in /proc/[0-9]*; do
    tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '[d]evice.js wl\\|[s]pectrum.js' &&
    echo "$(ls $p/fd | wc -l) descriptors, $(grep -c 'virtio-wl\\|memfd:test' $p/maps) mappings"; done`);
  const lines = stdout.trim().split("\n");
  assert.equal(lines.length, 2, stdout);
  return lines;
}

/** The other side of `wl_guest`. */
async function startHost(bench: Bench) {
  await bench.sh("rm -f /tmp/wl.sock");
  const program = `${TREE}/tests/lab/wl/host.ts`;
  const { process, said } = await startProgram(bench, [program, "/tmp/wl.sock"]);
  await bench.sh("while [ ! -S /tmp/wl.sock ]; do sleep 0.1; done");
  const stop = async () => {
    await process.signal(9);
    await process.status;
  };
  return { said, stop };
}

async function startLiar(bench: Bench) {
  await bench.sh(
    "rm -f /tmp/liar.sock; printf '[wl]\\nsocket = \"/tmp/liar.sock\"\\n' >/tmp/liar.toml",
  );
  const program = `${TREE}/tests/lab/wl/hostile_host.ts`;
  const started = await startProgram(bench, [program, "/tmp/liar.sock", String(LIES)]);
  await bench.sh("while [ ! -S /tmp/liar.sock ]; do sleep 0.1; done");
  return { ...started, guest: bench.wl.small };
}

async function startProgram(
  bench: Bench,
  program: readonly string[],
): Promise<{ process: StageProcess; said: () => string }> {
  const decoder = new TextDecoder();
  let text = "";
  const process = await bench.stage.spawn({
    command: [Deno.execPath(), "run", "-A", "--no-check", ...program],
    onOutput: (bytes) => text += decoder.decode(bytes, { stream: true }),
  });
  return { process, said: () => text };
}
