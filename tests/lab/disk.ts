import assert from "node:assert/strict";
import { type Bench, fromSource } from "./machine.ts";
import { hostWorker, recoveryTests } from "./recovery/mod.ts";

/** MiB that fio writes and verifies; by hand `SPECTRUM_FIO_MIB=2048`. */
const FIO_MIB = Number(Deno.env.get("SPECTRUM_FIO_MIB") ?? 64);
const JOBS = 4;

/** A disk, how it is attached, and how much is written to it, in MiB. */
interface Disk {
  readonly image: string;
  readonly flag: string;
  readonly mib: number;
}

/** The guest's part: fio over an ext4 with four queues, then a hash of the whole disk, one disk after the other. */
function checkScript(disks: readonly Disk[]): string {
  const fio = [
    `fio --name=verify --directory=/data --numjobs=${JOBS} --rw=randrw --bsrange=512-128k`,
    `--blockalign=512 --size=$2M --ioengine=libaio --iodepth=8 --direct=1 --fsync=64`,
    "--verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting --minimal >/tmp/fio",
  ].join(" ");
  const checks = disks.map(({ mib }, i) => `check vd${"abc"[i]} ${mib / JOBS}`);
  return `
check() {
mount -t ext4 /dev/$1 /data && ${fio}
echo "$1: fio $? with $(ls /sys/block/$1/mq | wc -l) queues"
umount /data; sync
echo "$1: sha256 $(sha256sum /dev/$1 | cut -d' ' -f1)"
}
${checks.join("\n")}`;
}

/** Real images through our worker and through a foreign backend; locks; what workers hold. */
export async function diskTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  const makeDisk = (path: string, mib: number) =>
    bench.sh(
      `rm -f ${path} && truncate -s ${
        Math.ceil(1.1 * mib) + 64
      }M ${path} && mke2fs -q -F -t ext4 ${path}`,
    );
  const tools = `${bench.guest.tools},readonly`;

  await bench.step(
    t,
    "fio verifies what it writes: through the page cache, with O_DIRECT, to qemu-storage-daemon",
    async () => {
      const folder = "/scratch/", foreign = "foreign.img", socket = "/tmp/foreign.sock";
      const disks: readonly Disk[] = [
        { image: "cached.img", flag: `${folder}cached.img`, mib: FIO_MIB },
        { image: "direct.img", flag: `${folder}direct.img,cache=none`, mib: FIO_MIB / 4 },
        { image: foreign, flag: `socket=${socket}`, mib: FIO_MIB / 4 },
      ];
      for (const { image, mib } of disks) await makeDisk(folder + image, mib);
      const daemon = await bench.stage.spawn({
        command: [
          "qemu-storage-daemon",
          ...["--blockdev", `driver=file,node-name=f,filename=${folder}${foreign}`],
          "--export",
          `type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=${socket},writable=on,num-queues=4`,
        ],
      });
      await bench.sh(`while [ ! -S ${socket} ]; do sleep 0.1; done`);
      const flags = [...disks.map(({ flag }) => `${flag},queues=4`), tools];
      const { status, stdout, stderr } = await bench.boot(checkScript(disks), [
        ...flags.flatMap((flag) => ["--disk", flag]),
        ...["--cpus", "4", "--memory", "512M"],
      ], { timeout: 600 + 4 * FIO_MIB });
      assert.equal(status, 0, stderr + stdout);
      await daemon.signal(15);
      await daemon.status;
      for (const [i, { image }] of disks.entries()) {
        const name = `vd${"abc"[i]}`;
        assert.match(stdout, new RegExp(`${name}: fio 0 with 4 queues`), stdout);
        const [, guest] = new RegExp(`${name}: sha256 ([0-9a-f]{64})`).exec(stdout) ?? [];
        const host = await bench.sh(
          `e2fsck -fn ${folder}${image} >&2 && sha256sum ${folder}${image}`,
        );
        assert.equal(host.status, 0, host.stderr);
        assert.equal(guest, host.stdout.slice(0, 64), image);
      }
    },
  );

  await bench.step(
    t,
    "a VM with a disk: locks, descriptors, SIGUSR1, a killed worker",
    async (t) => {
      const image = "/scratch/held.img";
      await makeDisk(image, 0);
      const vm = await bench.start(["--name", "holder", "--disk", `${image},cache=none`, "--rng"]);
      const pids = await bench.sh(
        "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '[d]evice.js blk' && echo ${p#/proc/}; done",
      );
      const worker = pids.stdout.trim();

      await t.step("another VM cannot have its image, and is told who has it", async () => {
        const { status, stderr } = await bench.boot("true", ["--disk", image]);
        assert.equal(status, 1);
        assert.match(stderr, /disk \/scratch\/held\.img is in use by the VM "holder"/);
      });
      await t.step("nor can QEMU", async () => {
        const { status, stderr } = await bench.sh(
          `timeout 20 qemu-storage-daemon --blockdev driver=file,node-name=f,filename=${image} ` +
            "--export type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=/tmp/second.sock,writable=on",
        );
        assert.equal(status, 1);
        assert.match(stderr, /Failed to (get "\w+" lock|lock byte)/);
      });
      await t.step("two readers share one image", async () => {
        const { status, stderr } = await bench.boot("true", ["--disk", tools, "--disk", tools]);
        assert.equal(status, 0, stderr);
      });
      await t.step(
        "the worker holds its socket, its disk and nothing else with a path",
        async () => {
          assert.match(worker, /^\d+$/);
          const { stdout } = await bench.sh(`for f in /proc/${worker}/fd/*; do readlink $f; done`);
          const paths = stdout.trim().split("\n").filter((link) =>
            !/^(socket|anon_inode|pipe|\/memfd):|^\/dev\/(null|urandom)$/.test(link)
          );
          assert.deepEqual(paths, [image]);
        },
      );
      await t.step("SIGUSR1 opens no inspector in monitor or worker", async () => {
        const { stdout } = await bench.sh(`
        for p in /proc/[0-9]*; do
          tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '[s]pectrum.js\\|[d]evice.js' && kill -USR1 \${p#/proc/}
        done; sleep 2; cat /proc/net/tcp /proc/net/tcp6`);
        // 9229, listening.
        assert.doesNotMatch(stdout, /:240D 0+:0000 0A/);
        assert.match(await vm.run("echo alive"), /alive/);
      });
      await t.step("a worker that dies is replaced while the guest goes on", async () => {
        const hash = async (command: string) =>
          /[0-9a-f]{64}/.exec(await vm.run(`${command} | sha256sum`))?.[0];
        const read = "dd if=/dev/vda bs=64k count=16 2>/dev/null";
        const before = await hash(read);
        await bench.sh(`kill -9 ${worker}`);
        assert.equal(await hash(`echo 3 >/proc/sys/vm/drop_caches; ${read}`), before);
        assert.match(vm.output, /the backend is back/);
      });
      await recoveryTests(t, vm, "/dev/vda", "disk0", hostWorker(bench));
      assert.equal(await vm.powerOff(), 0);
      const left = await bench.sh("ls $XDG_RUNTIME_DIR/spectrum; ps | grep -c 'device.js [b]lk'");
      assert.equal(left.stdout.trim(), "0");
    },
  );

  await bench.step(
    t,
    "a disk that a foreign backend describes in nonsense is refused",
    async () => {
      await bench.sh("rm -f /tmp/nonsense.sock");
      const peer = await bench.stage.spawn({
        command: [
          ...[Deno.execPath(), "eval"],
          `const l = Deno.listen({ transport: "unix", path: "/tmp/nonsense.sock" });
         const c = await l.accept(); await c.write(new Uint8Array(64).fill(0x41)); await new Promise(() => setTimeout(() => {}, 1e6));`,
        ],
      });
      await bench.sh("while [ ! -S /tmp/nonsense.sock ]; do sleep 0.1; done");
      const { status, stderr } = await bench.stage.run({
        command: [...fromSource, ...bench.flags(["--disk", "socket=/tmp/nonsense.sock"], "")],
        timeout: 100,
      });
      await peer.signal(9);
      assert.equal(status, 4, stderr);
      assert.match(stderr, /disk0 cannot start/);
    },
  );
}
