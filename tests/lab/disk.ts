import assert from "node:assert/strict";
import { type Bench, fromSource } from "./machine.ts";
import { hostWorker, recoveryTests } from "./recovery/mod.ts";

/** MiB that fio writes and verifies; by hand `SPECTRUM_FIO_MIB=2048`. */
const FIO_MIB = Number(Deno.env.get("SPECTRUM_FIO_MIB") ?? 64);
const JOBS = 4;

/** The guest's part of a disk check: fio over an ext4 with four queues, then a hash of the whole disk. */
function checkScript(mib: number): string {
  const fio = [
    `fio --name=verify --directory=/data --numjobs=${JOBS} --rw=randrw --bsrange=512-128k`,
    `--blockalign=512 --size=${mib / JOBS}M --ioengine=libaio --iodepth=8 --direct=1 --fsync=64`,
    "--verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting --minimal >/tmp/fio",
  ].join(" ");
  return `
mount -t ext4 /dev/vda /data && ls /sys/block/vda/mq && ${fio}
echo "fio $?"
umount /data; sync
echo "disk: sha256 $(sha256sum /dev/vda | cut -d' ' -f1)"`;
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

  /** Runs the check over a disk given by `flag` and compares what guest and host see of `image`. */
  const check = async (image: string, flag: string, mib: number) => {
    const { status, stdout, stderr } = await bench.boot(checkScript(mib), [
      ...["--disk", flag, "--disk", tools, "--cpus", "4", "--memory", "512M"],
    ], { timeout: 600 + 2 * mib });
    assert.equal(status, 0, stderr + stdout);
    assert.match(stdout, /^0\s+1\s+2\s+3\s*$/m, `four queues: ${stdout}`);
    assert.match(stdout, /fio 0\r?$/m, stdout);
    const [, guest] = /disk: sha256 ([0-9a-f]{64})/.exec(stdout) ?? [];
    const host = await bench.sh(`e2fsck -fn ${image} >&2 && sha256sum ${image}`);
    assert.equal(host.status, 0, host.stderr);
    assert.equal(guest, host.stdout.slice(0, 64));
  };

  await bench.step(t, "fio verifies an ext4 with four queues through the page cache", async () => {
    await makeDisk("/scratch/cached.img", FIO_MIB);
    await check("/scratch/cached.img", "/scratch/cached.img,queues=4", FIO_MIB);
  });

  await bench.step(t, "the same with O_DIRECT, where several requests are in flight", async () => {
    await makeDisk("/scratch/direct.img", FIO_MIB / 4);
    await check("/scratch/direct.img", "/scratch/direct.img,queues=4,cache=none", FIO_MIB / 4);
  });

  await bench.step(t, "the same with qemu-storage-daemon as the backend", async () => {
    const image = "/scratch/foreign.img";
    await makeDisk(image, FIO_MIB / 4);
    const daemon = await bench.stage.spawn({
      command: [
        ...["qemu-storage-daemon", "--blockdev", `driver=file,node-name=f,filename=${image}`],
        "--export",
        "type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=/tmp/foreign.sock,writable=on,num-queues=4",
      ],
    });
    await bench.sh("while [ ! -S /tmp/foreign.sock ]; do sleep 0.1; done");
    await check(image, "socket=/tmp/foreign.sock,queues=4", FIO_MIB / 4);
    await daemon.signal(15);
    await daemon.status;
  });

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
