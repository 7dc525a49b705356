import assert from "node:assert/strict";
import { GUEST_READY } from "../../scripts/lab/mod.ts";
import { ContextSwitches } from "./context_switches.ts";
import { type Bench, fromSource, RunningGuest } from "./machine.ts";
import { recoveryTests } from "./recovery/mod.ts";

/** By hand 20 and 30. */
const KILLS = Number(Deno.env.get("SPECTRUM_VM_KILLS") ?? 1);
const STOPPED = Number(Deno.env.get("SPECTRUM_STOP_SECONDS") ?? 5);
/** Seconds; the runtime starts four times in the device VM, and that boots again after each kill. */
const LIMIT = 600 + 100 * KILLS + STOPPED;
const FOLDER = "/scratch/device-vm";

/** The device VM: holds the disks, and provides them and random numbers to `app`. */
const deviceVm = (kernel: string) => `
kernel = "${kernel}"
memory = "256M"
cmdline = "quiet"

[[disk]]
path = "root.img"

[[disk]]
path = "data.img"
cache = "none"

[[provides]]
to = "app"
device = "disk0"
kind = "blk"
path = "/dev/vda"
cache = "auto"

[[provides]]
to = "app"
device = "disk1"
kind = "blk"
path = "/dev/vdb"

[[provides]]
to = "app"
device = "rng"
kind = "rng"
`;

/** The application VM: everything that it has comes from there. */
const app = (kernel: string, tools: string) => `
kernel = "${kernel}"
memory = "2G"
cmdline = "quiet init=/init"
root = "disk0"

[[disk]]
provider = "vm:diskvm"

[[disk]]
provider = "vm:diskvm"

[[disk]]
path = "${tools}"
readonly = true

[rng]
provider = "vm:diskvm"
`;

/** Process 1 of the root file system. */
const INIT = `#!/bin/sh
export PATH=/bin:/usr/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs tmp /tmp; mount -o ro /dev/vdc /tools
stty -echo </dev/console
echo "${GUEST_READY}"
export PS1= PS2=
setsid cttyhack sh -i </dev/console
poweroff -f
`;

/** A root file system of busybox, and a program out of the RAM disk of tests. */
const root = (initrd: string) => `
mkdir -p ${FOLDER}/root && cd ${FOLDER}/root && mkdir -p bin dev proc sys tmp tools data
ln -s /tools/usr usr; ln -s /tools/usr/lib lib; ln -s /tools/usr/lib64 lib64
cp $(which busybox) bin/busybox && for name in $(busybox --list); do [ -e bin/$name ] || ln -s busybox bin/$name; done
cat >init && chmod 755 init
busybox cpio -i bin/disk_load <${initrd} 2>/dev/null
mke2fs -q -F -t ext4 -d . ../root.img 16M && truncate -s 96M ../data.img && mke2fs -q -F -t ext4 ../data.img
`;

/** Devices whose backends run in another VM. */
export async function deviceVmTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a VM whose root disk, data disk and rng another VM provides", async (t) => {
    const { kernel, tools, initrd } = bench.small;
    const write = async (name: string, text: string) => {
      await bench.stage.run({ command: ["sh", "-c", `cat >${FOLDER}/${name}`], stdin: text });
    };
    const made = await bench.stage.run({ command: ["sh", "-ec", root(initrd)], stdin: INIT });
    assert.equal(made.status, 0, made.stderr);
    await write("diskvm.toml", deviceVm(kernel));
    await write("app.toml", app(kernel, tools));
    const spectrum = (...words: string[]) =>
      bench.stage.run({ command: [...fromSource, ...words], cwd: FOLDER, timeout: LIMIT });

    const start = async () => {
      const { status, stderr } = await spectrum("run", "--detach", "diskvm.toml");
      assert.equal(status, 0, stderr);
    };
    /** To the monitor, whose threads are the device VM's processors. */
    const signal = async (name: string) => {
      const record = "$XDG_RUNTIME_DIR/spectrum/diskvm/vm.json";
      const { status, stderr } = await bench.sh(
        `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' ${record}) && kill -${name} $pid && ` +
          `{ [ ${name} != KILL ] || while [ -d /proc/$pid ]; do sleep 0.05; done; }`,
      );
      assert.equal(status, 0, stderr);
    };

    const guest = new RunningGuest();
    guest.process = await bench.stage.spawn({
      command: [...fromSource, "run", "app.toml"],
      cwd: FOLDER,
      timeout: LIMIT,
      onOutput: (bytes) => guest.see(bytes),
    });
    await t.step("waits, and ps says for whom", async () => {
      await guest.waitFor('waits for the VM "diskvm", which does not run');
      const { stdout } = await spectrum("ps");
      assert.match(stdout, /app +starting .*disk0 waits for the VM "diskvm", which does not run;/);
    });

    /** What the device VM said tells why the other one waits. */
    const step = async (name: string, body: () => Promise<void>) => {
      if (await t.step(name, body)) return true;
      for (const words of [["logs"], ["logs", "--console"], ["info"]]) {
        const { stdout, stderr } = await spectrum(...words, "diskvm");
        console.log(`diskvm, ${words.join(" ")}:\n${stdout}${stderr}`);
      }
      return false;
    };
    const boots = await step("boots from it, as soon as that runs", async () => {
      const began = performance.now();
      await start();
      await guest.waitFor(GUEST_READY);
      console.log(`    ready after ${Math.round((performance.now() - began) / 100) / 10} s`);
      console.log((await spectrum("logs", "diskvm")).stdout);
      assert.match(await guest.run("head -c 32 /dev/hwrng | wc -c"), /32/);
    });

    if (!boots) {
      await guest.process.signal(9);
      return;
    }

    await step("10,000 requests set no process of the host to work", async () => {
      // Of what it reads all is in the page cache of the device VM after the first time. It says little when it is done,
      // since each character is work for the monitor.
      const read = async (times: number, mark: string) => {
        await guest.process.write(
          `for i in $(seq ${times}); do dd if=/dev/vda of=/dev/null bs=4k count=500 iflag=direct 2>/dev/null; done; echo ${mark}\n`,
        );
        await guest.waitFor(mark);
      };
      await read(1, "@0");
      // What requests cause they cause each time; what the machine's other work causes is not the same twice.
      const sums: number[] = [];
      do {
        const before = await ContextSwitches.now(bench);
        const began = performance.now();
        await read(20, `@${sums.length + 1}`);
        const each = (performance.now() - began) / 10_000;
        const switches = (await ContextSwitches.now(bench)).since(before);
        console.log(`    ${each.toFixed(2)} ms for each; context switches:`, switches);
        sums.push(Object.values(switches).reduce((sum, count) => sum + count, 0));
      } while (Math.min(...sums) >= 100 && sums.length < 3);
      assert.ok(Math.min(...sums) < 100, `${sums.join(", ")} context switches`);
    });

    await step("verifies data with fio, O_DIRECT on both sides", async () => {
      const fio = await guest.run(
        "mount -t ext4 /dev/vdb /data && fio --name=v --directory=/data --rw=randrw --bsrange=512-128k " +
          "--blockalign=512 --size=8M --ioengine=libaio --iodepth=8 --direct=1 --fsync=64 " +
          "--verify=crc32c --verify_fatal=1 --do_verify=1 --minimal >/tmp/fio; echo fio-$?",
      );
      assert.match(fio, /fio-0/, guest.output);
      const [seen] =
        /[0-9a-f]{64}/.exec(await guest.run("umount /data; sync; sha256sum /dev/vdb")) ?? [];
      const { stdout } = await bench.sh(`sha256sum ${FOLDER}/data.img`);
      assert.equal(seen, stdout.slice(0, 64));
    });

    await recoveryTests(t, guest, "/dev/vdb", "disk1", {
      name: "a device VM",
      kill: async () => {
        await signal("KILL");
        await start();
      },
      stop: () => signal("STOP"),
      goOn: () => signal("CONT"),
      kills: KILLS,
      stopped: STOPPED,
    });

    await t.step("both end in order", async () => {
      await guest.process.write("poweroff -f\n");
      assert.equal(await guest.process.status, 0, guest.output);
      const { status, stdout, stderr } = await spectrum("stop", "diskvm");
      assert.equal(status, 0, stderr + stdout);
    });
  });
}
