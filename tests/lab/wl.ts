import assert from "node:assert/strict";
import { guestScript, TREE } from "../../scripts/lab/mod.ts";
import { WlFeature } from "../../src/virtio/mod.ts";
import type { StageProcess } from "../../scripts/stage.ts";
import { type Bench, fromSource } from "./machine.ts";
import { assertUnbroken, BROKEN, LIED_TO } from "./wl/lied_to.ts";

/** By hand 1024, 5000 and 1000000. Two VFDs make a turn. */
const STREAM_MIB = Number(Deno.env.get("SPECTRUM_WL_MIB") ?? 64);
const MEMORY_TURNS = Number(Deno.env.get("SPECTRUM_WL_TURNS") ?? 60);
/** For the VM in which all that happens, in seconds. */
const LIMIT = 900 + MEMORY_TURNS + 2 * STREAM_MIB;
const LIES = Number(Deno.env.get("SPECTRUM_WL_LIES") ?? 3000);

const DOORBELLS = 12;
const CONFIG = "/tmp/wl.toml";
/** The configuration of a VM whose sockets are ours. */
const CONFIG_TEXT = `[wl]
doorbells = ${DOORBELLS}
[wl.sockets]
test = "/tmp/wl.sock"
dead = "/tmp/wl-dead.sock"
`;

/** Disks past the host's page cache, and through it. */
const DIRECT = ["--disk", "/scratch/wl-disk.img,cache=none"];
const CACHED = ["--disk", "/scratch/wl-disk.img"];
const MAKE_DISK = "rm -f /scratch/wl-disk.img; truncate -s 16M /scratch/wl-disk.img";

/** Virtio Wayland between C programs in a guest and the host; the driver with a device that lies. */
export async function wlTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "C programs share everything with the host", async (t) => {
    const host = await startHost(bench);
    await bench.sh(MAKE_DISK);
    const vm = await bench.start([CONFIG, ...DIRECT], bench.wl.small, LIMIT);
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
    await t.step(
      "a disk reads into what is shared and writes from it",
      () => passes("direct /dev/vda again /dev/vda"),
    );
    await t.step(
      "a program that takes memory away under its direct I/O harms nobody",
      () => passes("torn /dev/vda 5 0 direct /dev/vda"),
    );
    await t.step(
      "events cross by doorbells, by as many as there are",
      () => passes(`doorbells ${DOORBELLS} 200 many 4`),
    );
    await t.step(
      "the doorbell function goes and comes back",
      () => passes(`unbind doorbells ${DOORBELLS} 5`),
    );
    await t.step("pages and masks that are written at random ring, at most", async () => {
      await passes(`tease ${DOORBELLS} 3000 doorbells ${DOORBELLS} 5`);
      const counts = await vm.run("grep doorbell /proc/interrupts");
      assert.match(counts, / [1-9]\d* .*virtio_wl-doorbell0\r?\n/);
    });
    await t.step("a device that dies takes what was open with it, and comes back", async () => {
      await vm.process.write('(wl_guest torn /dev/vda 15 1; echo "the disk is left with $?") & ');
      await vm.process.write('wl_guest death; echo "it ends with $?"\n');
      await vm.waitFor("wl: death awaits");
      await bench.sh(`kill -9 $(${WORKER})`);
      await vm.waitFor("it ends with ");
      assert.match(vm.output, /wl: death ok/);
      await vm.waitFor("the disk is left with ");
      assert.match(vm.output, /the disk is left with 0/);
      await passes("direct /dev/vda");
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
      await bench.sh(MAKE_DISK);
      const script = `
dmesg -c >/dev/null
insmod /modules/virtio_wl.ko && mount -t debugfs d /sys/kernel/debug
wl_guest cached /sys/kernel/debug/x86/pat_memtype_list pass pipes 1 events 20 memory 5 direct /dev/vda doorbells ${DOORBELLS} 20
sleep 1; rmmod virtio_wl && insmod /modules/virtio_wl.ko pages=0 &&
wl_guest cached /sys/kernel/debug/x86/pat_memtype_list memory 5 plain /dev/vda unbind && echo "all is well"
dmesg | grep -E "${BROKEN.source}"`;
      const { status, stdout, stderr } = await bench.boot(script, [CONFIG, ...CACHED], {
        guest: bench.wl.debian,
      });
      assert.equal(status, 0, stderr);
      assert.match(stdout, /all is well/, stdout + host.said());
      assert.match(stdout, /wl: .*write-back/);
      assert.doesNotMatch(stdout, /failed|Call Trace/);
      await host.stop();
    },
  );

  const liar = async (lies: number, features?: bigint) => {
    const { guest, process, said } = await startLiar(bench, lies, features);
    const { status, stdout, stderr } = await bench.stage.run({
      command: [
        ...[...fromSource, "run", "/tmp/liar.toml", "--kernel", guest.kernel],
        ...["--initrd", guest.initrd, "--cmdline", `quiet ${guestScript(LIED_TO)}`],
      ],
      timeout: Math.max(600, lies / 50),
    });
    assert.equal(status, 0, stderr);
    assertUnbroken(stdout, guest.version.endsWith("debug"), said());
    await process.signal(9);
    await process.status;
  };
  await bench.step(t, "a device that lies does not break the driver", () => liar(LIES));
  await bench.step(
    t,
    "nor does one that knows nothing of our extensions",
    () => liar(Math.min(LIES, 1000), WlFeature.UseShmem),
  );
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
  await bench.sh(`rm -f /tmp/wl.sock; cat >${CONFIG} <<end\n${CONFIG_TEXT}end`);
  const program = `${TREE}/tests/lab/wl/host.ts`;
  const { process, said } = await startProgram(bench, [program, "/tmp/wl.sock"]);
  await bench.sh("while [ ! -S /tmp/wl.sock ]; do sleep 0.1; done");
  const stop = async () => {
    await process.signal(9);
    await process.status;
  };
  return { said, stop };
}

async function startLiar(bench: Bench, lies: number, features?: bigint) {
  await bench.sh(
    "rm -f /tmp/liar.sock; printf '[wl]\\nsocket = \"/tmp/liar.sock\"\\n' >/tmp/liar.toml",
  );
  const program = `${TREE}/tests/lab/wl/hostile_host.ts`;
  const seed = Date.now() % 2 ** 31;
  const mask = features === undefined ? [] : [`${features}`];
  const started = await startProgram(bench, [
    ...[program, "/tmp/liar.sock", `${lies}`, `${seed}`],
    ...mask,
  ]);
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
    onOutput: (bytes) => {
      const piece = decoder.decode(bytes, { stream: true });
      text += piece;
      if (piece.includes("lies are told")) console.log(piece.trim());
    },
  });
  return { process, said: () => text };
}
