import assert from "node:assert/strict";
import { root } from "../../scripts/root.ts";
import type { StageProcess } from "../../scripts/stage.ts";
import { GUEST_READY } from "../../scripts/lab/mod.ts";
import type { Bench } from "./machine.ts";

/** By hand `SPECTRUM_PAUSE_SECONDS=600`. */
const PAUSE_SECONDS = Number(Deno.env.get("SPECTRUM_PAUSE_SECONDS") ?? 45);
const BUNDLE = `${root}build/lab/vm_driver.js`;

/** Pause, resume, snapshot, restore, with a guest that works meanwhile. */
export async function controlTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  const driver = await bundle();
  const { kernel, initrd, tools } = bench.debian;
  await bench.sh(
    "rm -rf /scratch/snapshot; truncate -s 256M /scratch/c.img && mke2fs -q -F -t ext4 /scratch/c.img",
  );
  // Not the program's: the lab has it as of its start.
  await bench.stage.run({
    command: ["sh", "-c", "cat >/tmp/vm_driver.js"],
    stdin: driver,
  });
  const disks = [{ path: "/scratch/c.img" }, { path: tools, readonly: true }];
  const input = { kernel, initrd, cmdline: "quiet", memory: "384M", cpus: 2, rng: {} };
  const first = await Driven.start(bench, { ...input, name: "saved", disk: disks });
  await first.seen(GUEST_READY);

  await t.step("100 pauses under disk load leave the data verified", async () => {
    await first.type("mkdir -p /data && mount -t ext4 /dev/vda /data");
    await first.type(
      "fio --name=v --directory=/data --rw=randrw --bs=4k --size=16M --numjobs=2 --iodepth=8 " +
        "--ioengine=libaio --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1 " +
        "--time_based --runtime=8 --group_reporting --minimal >/tmp/fio; echo fio-status-$?",
    );
    await first.order("cycles 100");
    assert.match(await first.seen(/fio-status-\d+/), /fio-status-0/);
  });

  await t.step(
    `a pause of ${PAUSE_SECONDS} s stops the guest's clock and no watchdog barks`,
    async () => {
      const uptime = async () => {
        const mark = crypto.randomUUID();
        await first.type(`echo "up $(cut -d' ' -f1 /proc/uptime) ${mark}"`);
        const [, seconds] =
          /up ([\d.]+) [0-9a-f-]{36}/.exec(await first.seen(new RegExp(`up [\\d.]+ ${mark}`))) ??
            [];
        return Number(seconds);
      };
      const before = await uptime();
      await first.order("pause");
      await first.order(`sleep ${PAUSE_SECONDS * 1000}`);
      await first.order("resume");
      const after = await uptime();
      assert.ok(after - before < PAUSE_SECONDS / 2, `${before} s before, ${after} s after`);
      await first.type("dmesg | grep -ciE 'stall|lockup|unstable|hung task'; echo barks-end");
      assert.match(await first.seen(/\d+\s+barks-end/), /^0\s/);
    },
  );

  await t.step(
    "a guest's loop goes on from its snapshot, twice, with its own random numbers",
    async () => {
      await first.type("umount /data; sync");
      await first.type(
        'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "loop-$i-end"; sleep 0.2; done &',
      );
      await first.seen(/loop-5-end/);
      await first.order("pause");
      await first.order("snapshot /scratch/snapshot");
      const last = Number([...first.output.matchAll(/loop-(\d+)-end/g)].at(-1)?.[1]);
      await first.process.signal(9);
      await first.process.status;
      await bench.sh("cp --sparse=always /scratch/c.img /scratch/c2.img");
      const second = await Driven.start(bench, { name: "saved" }, "/scratch/snapshot");
      const third = await Driven.start(bench, {
        name: "other",
        disk: [{ path: "/scratch/c2.img" }, disks[1]],
      }, "/scratch/snapshot");
      for (const vm of [second, third]) {
        const [, next] = /loop-(\d+)-end/.exec(await vm.seen(/loop-\d+-end/)) ?? [];
        assert.ok(Number(next) === last + 1 || Number(next) === last, `${last}, then ${next}`);
        await vm.type(
          "kill %1; mount -t ext4 /dev/vda /data && ls /data && echo mounted-it; dmesg | tail -5; echo all-seen",
        );
        const shown = await vm.seen(/all-seen\r?\n/);
        assert.match(shown, /v\.\d\.0[^]*mounted-it/);
        assert.match(shown, /crng reseeded due to virtual machine fork/);
        await vm.type("poweroff");
        await vm.seen(/@@ended/);
        assert.equal(await vm.process.status, 0, vm.output);
      }
    },
  );

  await t.step("what a killed monitor leaves blocks nobody", async () => {
    const { stdout } = await bench.sh(
      "ls /run/spectrum-0 2>/dev/null; ps | grep -c '[d]evice.js\\|[s]pectrum-starter'",
    );
    assert.match(stdout, /^0\s*$/m, stdout);
  });
}

/** A VM that `vm_driver.ts` runs. */
class Driven {
  process!: StageProcess;
  output = "";
  #at = 0;
  #wake = () => {};

  static async start(bench: Bench, input: object, restore?: string): Promise<Driven> {
    const vm = new Driven();
    const decoder = new TextDecoder();
    vm.process = await bench.stage.spawn({
      command: [
        ...[Deno.execPath(), "run", "-A", "--no-config", "--no-lock", "/tmp/vm_driver.js"],
        JSON.stringify(input),
        ...(restore === undefined ? [] : [restore]),
      ],
      onOutput: (bytes) => {
        vm.output += decoder.decode(bytes, { stream: true });
        vm.#wake();
      },
    });
    await vm.seen(/@@ok started/);
    return vm;
  }

  /** Waits for something in the output behind what was waited for last, and gives it. */
  async seen(what: string | RegExp): Promise<string> {
    let ended = false;
    const end = this.process.status.then(() => {
      ended = true;
      this.#wake();
    });
    end.catch(() => {});
    for (;;) {
      const rest = this.output.slice(this.#at);
      const index = typeof what === "string" ? rest.indexOf(what) : rest.search(what);
      if (index >= 0) {
        const length = typeof what === "string" ? what.length : what.exec(rest)?.[0].length ?? 0;
        this.#at += index + length;
        return rest.slice(
          typeof what === "string" || /end\b/.test(what.source) ? index : 0,
          index + length,
        );
      }
      if (ended) throw new Error(`The VM ended without ${what}:\n${this.output}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  async order(line: string): Promise<void> {
    const [command] = line.split(" ");
    const from = this.output.length;
    await this.process.write(`${line}\n`);
    const answer = new RegExp(`@@(ok|failed) ${command}[^\\n]*\\n`);
    while (!answer.test(this.output.slice(from))) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    assert.match(this.output.slice(from), new RegExp(`@@ok ${command}`));
  }

  async type(text: string): Promise<void> {
    await this.order(`type ${text}`);
  }
}

/** The driver with all that it imports, and where the program's parts are. */
async function bundle(): Promise<string> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "-q", "--output", BUNDLE, `${root}tests/lab/vm_driver.ts`],
    cwd: root,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const build = (name: string) => `${root}build/${name}`;
  const { payload } = await import("../../src/os/mod.ts");
  const { device, ...parts } = payload();
  const banner = JSON.stringify({ ...parts, shim: build("libspectrum.so"), device: [...device] });
  return `globalThis.spectrumPayload=${banner};\n${await Deno.readTextFile(BUNDLE)}`;
}
