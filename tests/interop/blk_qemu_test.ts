import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cacheDir, fetchDebianKernel, showProgress } from "../../src/guest/mod.ts";
import { BlkFeature, Feature, featureNames } from "../../src/virtio/mod.ts";
import { DeviceProcess } from "./device_process.ts";
import { canRunQemu, negotiated, runQemuGuest } from "./qemu_guest.ts";

const kernel = await fetchDebianKernel(cacheDir(), showProgress());
const ignore = !await canRunQemu();
const MIB = 2 ** 20;
const DISK = 48 * MIB;
/** The second disk, used with O_DIRECT. */
const DIRECT_DISK = 16 * MIB;

/**
 * One boot: reads all of the disk, writes in many sizes from both CPUs, gives the driver up and takes it
 * again (the device is reset and set up anew), and writes while its backend is killed and replaced.
 */
const SCRIPT = `
vda=/sys/block/vda
sum() { echo 3 >/proc/sys/vm/drop_caches; sha256sum $1 | cut -d' ' -f1; }
say features $(cat $vda/device/features)
say serial $(cat $vda/serial)
say queues $(ls $vda/mq | wc -l)
say size $(blockdev --getsize64 /dev/vda)
say discard $(cat $vda/queue/discard_max_bytes)
say first $(sum /dev/vda)
random=$(head -c 64 /dev/hwrng | sha256sum)
say rng $(cat /sys/class/misc/hw_random/rng_current)
head -c 3145728 /dev/urandom >/tmp/data
say data $(sha256sum /tmp/data | cut -d' ' -f1)
at=4096
for bs in 512 4096 65536; do
  taskset 1 dd if=/tmp/data of=/dev/vda bs=$bs seek=$((at * 1024 / bs)) conv=notrunc,fsync 2>/dev/null &
  at=$((at + 4096))
  taskset 2 dd if=/tmp/data of=/dev/vda bs=$bs seek=$((at * 1024 / bs)) conv=notrunc oflag=direct 2>/dev/null
  at=$((at + 4096))
  wait
done
blkdiscard -o $((32 * 1048576)) -l 1048576 /dev/vda && say discarded yes
say direct-first $(sum /dev/vdb)
dd if=/tmp/data of=/dev/vdb bs=32k seek=32 conv=notrunc,fsync 2>/dev/null
dd if=/tmp/data of=/dev/vdb bs=512 count=100 seek=9999 conv=notrunc oflag=direct 2>/dev/null
sync
say direct-written $(sum /dev/vdb)
say written $(sum /dev/vda)
echo virtio0 >/sys/bus/virtio/drivers/virtio_blk/unbind
echo virtio0 >/sys/bus/virtio/drivers/virtio_blk/bind
say again $(sum /dev/vda)
say crash now
i=0
while [ $i -lt 24 ]; do
  dd if=/tmp/data of=/dev/vda bs=16k count=64 skip=$i seek=$((2048 + 64 * (i % 16))) conv=notrunc,fsync 2>/dev/null
  i=$((i + 1))
done
say survived $(sum /dev/vda)
`;

async function hashOf(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
}

/** Content that differs everywhere. */
async function makeImage(path: string, size: number): Promise<void> {
  const words = new Uint32Array(size / 4).map((_, i) => Math.imul(i, 0x9e3779b1) ^ (i >>> 7));
  await Deno.writeFile(path, new Uint8Array(words.buffer));
}

Deno.test({
  name: "QEMU as frontend: blk with two queues is read, written, reset and replaced; rng gives",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "spectrum-blk-", dir: "/var/tmp" });
    try {
      const image = `${folder}/disk.img`;
      await makeImage(image, DISK);
      const direct = `${folder}/direct.img`;
      await makeImage(direct, DIRECT_DISK);
      const directFirst = await hashOf(direct);
      const first = await hashOf(image);
      const words = ["--disk", image, "--queues", "2", "--serial", "qemu-disk-0"];
      const socket = `${folder}/blk.sock`;
      await using rng = await DeviceProcess.start("rng", `${folder}/rng.sock`, []);
      const directWords = ["--disk", direct, "--queues", "2", "--cache", "none"];
      await using vdb = await DeviceProcess.start("blk", `${folder}/vdb.sock`, directWords);
      let blk = await DeviceProcess.start("blk", socket, words);
      let atWrite = "";
      let replaced: Promise<void> = Promise.resolve();
      const replace = async () => {
        await blk.kill();
        await Deno.remove(socket);
        blk = await DeviceProcess.start("blk", socket, words);
      };
      try {
        const result = await runQemuGuest({
          kernel,
          cpus: 2,
          modules: ["virtio_pci", "virtio_blk", "virtio_rng"],
          script: SCRIPT,
          arguments: [
            ...["-chardev", `socket,id=blk,path=${socket},reconnect=1`],
            ...["-device", "vhost-user-blk-pci,chardev=blk,num-queues=2"],
            ...["-chardev", `socket,id=vdb,path=${vdb.socket}`],
            ...["-device", "vhost-user-blk-pci,chardev=vdb,num-queues=2"],
            ...["-chardev", `socket,id=rng,path=${rng.socket}`],
            ...["-device", "vhost-user-rng-pci,chardev=rng"],
          ],
          onReport(name) {
            if (name === "written") replaced = hashOf(image).then((hash) => void (atWrite = hash));
            if (name === "crash") replaced = replaced.then(replace);
          },
        });
        await replaced;
        const { reports } = result;
        const features = negotiated(result);
        console.log(`negotiated: ${featureNames(features, BlkFeature).join(", ")}`);
        for (const name of ["IndirectDesc", "EventIdx", "Version1"] as const) {
          assert.notEqual(features & Feature[name], 0n, name);
        }
        for (const name of ["Flush", "Mq", "Discard", "WriteZeroes", "ConfigWce"] as const) {
          assert.notEqual(features & BlkFeature[name], 0n, name);
        }
        assert.equal(reports.get("serial"), "qemu-disk-0");
        assert.equal(reports.get("queues"), "2");
        assert.equal(reports.get("size"), String(DISK));
        assert.equal(reports.get("first"), first, "what the guest reads");
        assert.equal(reports.get("rng"), "virtio_rng.0");
        assert.notEqual(reports.get("written"), first);
        assert.equal(reports.get("discarded"), "yes");
        assert.equal(reports.get("written"), atWrite, "what the guest wrote");
        assert.equal(reports.get("again"), atWrite, "after a reset");
        assert.equal(
          reports.get("survived"),
          await hashOf(image),
          "after the backend was replaced",
        );
        assert.notEqual(reports.get("survived"), atWrite);
        assert.equal(reports.get("direct-first"), directFirst, "what the guest reads directly");
        assert.equal(reports.get("direct-written"), await hashOf(direct), "and wrote directly");
        assert.notEqual(reports.get("direct-written"), directFirst);
      } finally {
        await blk[Symbol.asyncDispose]();
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
