import assert from "node:assert/strict";
import { cacheDir, fetchDebianKernel, showProgress } from "../../src/guest/mod.ts";
import { Feature, featureNames, NetFeature } from "../../src/virtio/mod.ts";
import { DeviceProcess } from "./device_process.ts";
import { NetNamespace } from "./net_namespace.ts";
import { givenHash } from "./net_peer.ts";
import { canRunQemu, type QemuGuestResult, runQemuGuest } from "./qemu_guest.ts";

const kernel = await fetchDebianKernel(cacheDir(), showProgress());
const ignore = !await NetNamespace.isPossible() || !await canRunQemu();
const MIB = 2 ** 20;
const SIZE = Number(Deno.env.get("SPECTRUM_NET_MIB") ?? 8) * MIB;
const MAC = "52:54:00:0a:0b:0c";

/** Data both ways, from each CPU, in packets of every size; then the same again. */
const SCRIPT = `
dev=/sys/class/net/eth0
ip link set lo up
say mac $(cat $dev/address)
say mtu $(cat $dev/mtu)
say features $(cat $dev/device/features)
say queues $(ls -d $dev/queues/rx-* | wc -l)
ip link set eth0 up
ip addr add $ADDRESS dev eth0
ip route add default via $GATEWAY
say carrier $(cat $dev/carrier)
head -c ${SIZE} /dev/urandom >/tmp/data
say sum $(sha256sum /tmp/data | cut -d' ' -f1)
# A client that has nothing to say: passt repeats what it has for one that has said so.
mkfifo /tmp/silence
exec 3<>/tmp/silence
down() { nc $PEER 7001 <&3 | sha256sum | cut -d' ' -f1; }
up() { nc $PEER 7002 </tmp/data; }
for cpu in 1 2; do
  (taskset $cpu nc $PEER 7001 <&3 | sha256sum | cut -d' ' -f1 >/tmp/down$cpu) &
done
wait
say down1 $(cat /tmp/down1)
say down2 $(cat /tmp/down2)
for cpu in 1 2; do taskset $cpu nc $PEER 7002 </tmp/data & done
wait
say up done
say name $(nslookup guest.test $PEER | grep -c 10.1.2.3)
`;

interface Peer extends AsyncDisposable {
  /** What it has said since it was ready. */
  readonly lines: readonly string[];
}

async function startPeer(namespace: NetNamespace): Promise<Peer> {
  const script = new URL("net_peer.ts", import.meta.url).pathname;
  const process = namespace.spawn([Deno.execPath(), "run", "-A", script, String(SIZE)]);
  const lines: string[] = [];
  const ready = Promise.withResolvers<void>();
  const said = new Response(process.stderr).text();
  const reading = (async () => {
    let rest = "";
    for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        if (line === "ready") ready.resolve();
        else lines.push(line);
      }
    }
    ready.reject(new Error(`The peer ended: ${await said}`));
  })();
  ready.promise.catch(() => {});
  await ready.promise;
  return {
    lines,
    async [Symbol.asyncDispose]() {
      process.kill("SIGKILL");
      await reading.catch(() => {});
      await process.status;
    },
  };
}

function negotiated({ reports }: QemuGuestResult): bigint {
  const bits = reports.get("features") ?? "";
  return [...bits].reduce((sum, bit, i) => bit === "1" ? sum | 1n << BigInt(i) : sum, 0n);
}

function shows(result: QemuGuestResult, where: string): bigint {
  const features = negotiated(result);
  console.log(`negotiated, ${where}: ${featureNames(features, NetFeature).join(", ")}`);
  for (const name of ["IndirectDesc", "EventIdx", "Version1"] as const) {
    assert.notEqual(features & Feature[name], 0n, name);
  }
  return features;
}

const needs = (features: bigint, ...names: (keyof typeof NetFeature)[]) => {
  for (const name of names) assert.notEqual(features & NetFeature[name], 0n, name);
};

function checkData({ reports }: QemuGuestResult, peer: Peer): void {
  const expected = givenHash(SIZE);
  assert.equal(reports.get("down1"), expected, "what the guest received");
  assert.equal(reports.get("down2"), expected, "what its other CPU received");
  const sum = `${SIZE} ${reports.get("sum")}`;
  assert.deepEqual(peer.lines.slice(0, 2), [sum, sum], "what the guest sent");
  assert.equal(reports.get("name"), "1", "over UDP");
}

function netArguments(socket: string, pairs: number): string[] {
  return [
    ...["-chardev", `socket,id=net,path=${socket},reconnect=1`],
    ...["-netdev", `vhost-user,id=n,chardev=net,queues=${pairs}`],
    "-device",
    // With MSI-X and without KVM, QEMU 7.2 dies of a vhost-user netdev (it uses an irqfd that it has not made).
    `virtio-net-pci,netdev=n,romfile=,vectors=0,mac=${MAC}${pairs > 1 ? ",mq=on" : ""}`,
  ];
}

Deno.test({
  name: "QEMU as frontend: a tap with two pairs of queues carries data both ways, and is replaced",
  ignore,
  async fn() {
    await using namespace = await NetNamespace.create();
    const folder = await Deno.makeTempDir({ prefix: "spectrum-net-" });
    try {
      await namespace.run(
        "ip tuntap add vmtap mode tap multi_queue vnet_hdr\n" +
          "ip addr add 10.9.0.1/24 dev vmtap\nip link set vmtap up",
      );
      await using peer = await startPeer(namespace);
      const socket = `${folder}/net.sock`;
      const words = ["--tap", "vmtap", "--queues", "2", "--mac", MAC];
      let net = await DeviceProcess.start("net", socket, words, namespace.enter);
      let replaced = Promise.resolve();
      const replace = async () => {
        await net.kill();
        await Deno.remove(socket);
        net = await DeviceProcess.start("net", socket, words, namespace.enter);
      };
      try {
        const result = await runQemuGuest({
          kernel,
          cpus: 2,
          modules: ["virtio_pci", "virtio_net"],
          script: `ADDRESS=10.9.0.2/24 GATEWAY=10.9.0.1 PEER=10.9.0.1
${SCRIPT}
say large $(ping -c 3 -s 20000 $PEER | grep -c 'bytes from')
say crash now
say survived-down $(down)
up
say survived-up done
`,
          arguments: netArguments(socket, 2),
          onReport(name) {
            if (name === "crash") replaced = replace();
          },
        });
        await replaced;
        const { reports } = result;
        const features = shows(result, "tap");
        needs(features, "Csum", "GuestCsum", "MrgRxbuf", "HostTso4", "HostTso6", "GuestTso4");
        needs(features, "GuestTso6", "Mq", "CtrlVq", "Mac", "Status", "CtrlGuestOffloads");
        assert.equal(reports.get("mac"), MAC);
        assert.equal(reports.get("queues"), "2");
        assert.equal(reports.get("carrier"), "1");
        checkData(result, peer);
        assert.equal(reports.get("large"), "3");
        assert.equal(reports.get("survived-down"), givenHash(SIZE), "over the replacement");
        assert.equal(peer.lines[2], `${SIZE} ${reports.get("sum")}`, "and to it");
      } finally {
        await net[Symbol.asyncDispose]();
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "QEMU as frontend: passt carries data both ways",
  ignore,
  async fn() {
    await using namespace = await NetNamespace.create();
    const folder = await Deno.makeTempDir({ prefix: "spectrum-net-" });
    try {
      // passt takes its addresses from an interface with a default route, and its gateway for its own host.
      await namespace.run(
        "ip link add up0 type veth peer name up1\nip link set up1 up\n" +
          "ip addr add 192.0.2.2/24 dev up0\nip link set up0 up\n" +
          "ip route add default via 192.0.2.1",
      );
      await using peer = await startPeer(namespace);
      await Deno.chmod(folder, 0o777);
      const passt = namespace.spawn(
        ["passt", "-f", "-q", "-4", "-s", `${folder}/passt.sock`, "--runas", "0"],
      );
      try {
        while (!await Deno.stat(`${folder}/passt.sock`).then(() => true, () => false)) {
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        const socket = `${folder}/net.sock`;
        const words = ["--stream", `${folder}/passt.sock`, "--mac", MAC];
        await using _net = await DeviceProcess.start("net", socket, words, namespace.enter);
        const result = await runQemuGuest({
          kernel,
          cpus: 2,
          modules: ["virtio_pci", "virtio_net"],
          script: `ADDRESS=192.0.2.2/24 GATEWAY=192.0.2.1 PEER=192.0.2.1\n${SCRIPT}`,
          arguments: netArguments(socket, 1),
        });
        const features = shows(result, "passt");
        needs(features, "Csum", "GuestCsum", "MrgRxbuf", "HostTso4", "HostTso6", "Mac");
        assert.equal(features & NetFeature.GuestTso4, 0n);
        checkData(result, peer);
      } finally {
        passt.kill("SIGTERM");
        await Promise.all([passt.stdout.cancel(), passt.stderr.cancel(), passt.status]);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
