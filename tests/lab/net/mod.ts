import assert from "node:assert/strict";
import type { DeviceInfo, VmInfo } from "../../../src/machine/mod.ts";
import type { Bench, RunningGuest } from "../machine.ts";
import { addresses, HostNetwork } from "./host_network.ts";
import { connectionSurvives, trafficTests } from "./traffic.ts";

const { host, outside, tap, guest: behindTap } = addresses;

/** Asks for an address, a router and resolvers, as passt gives them. */
const DHCP = `cat >/tmp/dhcp <<'.'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
ip route add default via $router
for server in $dns; do echo nameserver $server; done >/etc/resolv.conf
.
chmod 755 /tmp/dhcp; ip link set lo up; ip link set eth0 up; udhcpc -i eth0 -n -q -s /tmp/dhcp
until ip -6 addr show dev eth0 scope global | grep inet6 | grep -v tentative; do sleep 0.2; done`;

/** A script that asks a web server for its page; busybox' static wget cannot. */
const page = (address: string, port: number) =>
  `(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | busybox nc -w 10 ${address} ${port}`;

/** Behind a tap nobody says. */
const STATIC =
  `echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set lo up; ip link set eth0 up
ip addr add ${behindTap.v4}/24 dev eth0; ip addr add ${behindTap.v6}/64 dev eth0
ip route add default via ${tap.v4}; ip route add default via ${tap.v6} dev eth0
echo nameserver ${outside.v4} >/etc/resolv.conf`;

const tapped = `
name = "netted"
kernel = "unused"
cpus = 2
[net]
tap = "tap0"
queues = 2
`;

/** The way out through passt, and what happens to it. */
export async function netTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a network through passt, of an ordinary user", async (t) => {
    await using network = await HostNetwork.open(bench);
    const guest = await start(bench, network, ["--publish", "8080:80"]);
    await getAddresses(t, guest);
    await trafficTests(t, guest, network);

    await t.step("a server in the guest is reached by a published port", async () => {
      await guest.run("mkdir -p /www; echo it is published >/www/index.html; httpd -h /www");
      for (const address of [host.v4, host.v6]) {
        assert.match(await network.outside(page(address, 8080)), /it is published/);
      }
      assert.match(await network.host(page("127.0.0.1", 8080)), /it is published/);
      const { status, stderr } = await network.spectrum(
        ...bench.flags(["--name", "second", "--publish", "8080:80"], ""),
      );
      assert.equal(status, 1, stderr);
      assert.match(
        stderr,
        /Cannot publish "8080:80" \(publish\[0\] of net0\): somebody listens at/,
      );
    });

    await t.step("the host's own services are out of reach", async () => {
      const serving = network.host(
        "busybox httpd -f -p 127.0.0.1:9999 -h /etc & server=$!; sleep 3; kill $server",
      );
      const said = await guest.run(
        `sleep 1; printf 'GET /passwd HTTP/1.0\\r\\n\\r\\n' | timeout 10 nc -w 5 ${outside.v4} 9999; echo status $?`,
      );
      await serving;
      assert.doesNotMatch(said, /root:/, said);
      assert.doesNotMatch(said, /status 0/, said);
    });

    await recovers(t, guest, network);

    await t.step("passt that is killed comes back, and the guest sees its link", async () => {
      const before = await net0(network);
      const changes = async () => {
        const said = await guest.run("cat /sys/class/net/eth0/carrier_changes");
        return Number(/^\d+\s*$/m.exec(said)?.[0]);
      };
      const seen = await changes();
      await happens(
        guest,
        "the link is up",
        () => network.host(`kill -9 ${before.net?.passt}`),
      );
      const after = await net0(network);
      assert.notEqual(after.net?.passt, before.net?.passt);
      assert.equal(after.pid, before.pid);
      assert.equal(after.net?.link, "up");
      assert.ok(await changes() >= seen + 2);
      assert.match(await guest.run(`ping -c 1 -W 5 ${outside.v4}`), /1 packets received/);
    });
    await ends(t, guest, network);
  });
}

/** The way out through an interface of the host. */
export async function tapTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(
    t,
    "a network through a tap, of an ordinary user, with two pairs of queues",
    async (t) => {
      await using network = await HostNetwork.open(bench);
      await network.write("tapped.toml", tapped);
      const guest = await start(bench, network, [], network.file("tapped.toml"));
      await guest.run(STATIC);
      await trafficTests(t, guest, network);
      await t.step("a server in the guest is reached by its address", async () => {
        await guest.run("mkdir -p /www; echo it is there >/www/index.html; httpd -h /www");
        for (const address of [behindTap.v4, behindTap.v6]) {
          assert.match(await network.outside(page(address, 80)), /it is there/);
        }
      });
      await recovers(t, guest, network);
      await ends(t, guest, network);
    },
  );
}

/** The way out of a device VM, and the VM that goes by it: each in a file of its own. */
const netVm = (kernel: string) => `
name = "netvm"
kernel = "${kernel}"
memory = "256M"
cmdline = "quiet"
[net]
publish = ["8081:80"]
[[provides]]
to = "netted"
device = "net0"
kind = "net"
`;

/** A network that another VM provides: the same tests. */
export async function providedNetTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a network that another VM provides", async (t) => {
    await using network = await HostNetwork.open(bench);
    await network.write("netvm.toml", netVm(bench.small.kernel));
    await network.write("provided.toml", provided);
    const startNetVm = async () => {
      const { status, stderr } = await network.spectrum(
        "run",
        "--detach",
        network.file("netvm.toml"),
      );
      assert.equal(status, 0, stderr);
    };
    await startNetVm();
    const guest = await start(bench, network, [], network.file("provided.toml"));
    await getAddresses(t, guest);
    await trafficTests(t, guest, network);
    await t.step(
      "a server in the guest is reached by a port that the other VM publishes",
      async () => {
        await guest.run("mkdir -p /www; echo it is published >/www/index.html; httpd -h /www");
        assert.match(await network.outside(page(host.v4, 8081)), /it is published/);
      },
    );
    await t.step("a connection survives a killed worker of the other VM", async () => {
      const { pid: worker } = net0Of(await infoOf(network, "netvm"));
      await connectionSurvives(guest, network, async () => {
        await network.host(`kill -9 ${worker}`);
      });
    });
    await t.step("the network is back after the other VM was killed", async () => {
      const { pid } = await infoOf(network, "netvm");
      await happens(guest, "the backend is back", async () => {
        await network.host(`kill -9 ${pid}; while [ -d /proc/${pid} ]; do sleep 0.1; done`);
        await startNetVm();
      });
      const said = await guest.run(
        `for i in $(seq 20); do ping -c 1 -W 2 ${outside.v4} && break; done; nslookup web.test`,
      );
      assert.match(said, / 1 packets received/, said);
      assert.match(said, /Address.*: 10\.77\.0\.1\s/, said);
    });
    await guest.process.write("poweroff\n");
    assert.equal(await guest.process.status, 0, guest.output);
    const stopped = await network.spectrum("stop", "netvm");
    assert.equal(stopped.status, 0, stopped.stderr);
  });
}

const provided = `
name = "netted"
kernel = "unused"
[net]
provider = "vm:netvm"
`;

/** Boots the guest of network tests as the VM `netted`. */
async function start(
  bench: Bench,
  network: HostNetwork,
  flags: string[],
  file?: string,
): Promise<RunningGuest> {
  const { net } = bench.small;
  const [run, ...more] = bench.flags(
    ["--name", "netted", "--disk", `${net},readonly`, ...flags],
    "",
  );
  const guest = await network.boot([run, ...(file === undefined ? [] : [file]), ...more]);
  void guest.process.status.then((status) => {
    if (status !== 0) {
      console.log(`The VM ended with status ${status}:\n${guest.output.slice(-3000)}`);
    }
  });
  const { net: way } = await net0(network);
  console.log(`    ${JSON.stringify(way)}`);
  return guest;
}

/** As every guest of passt does. */
async function getAddresses(t: Deno.TestContext, guest: RunningGuest): Promise<void> {
  await t.step("addresses, router and resolver by DHCP, IPv6 by advertisement", async () => {
    const said = await guest.run(DHCP);
    assert.match(said, /10\.77\.0\.2/, said);
    assert.match(said, /inet6 fd77::/, said);
    assert.match(await guest.run("cat /etc/resolv.conf"), /nameserver 10\.77\.0\.1/);
  });
}

async function infoOf(network: HostNetwork, name: string): Promise<VmInfo> {
  const { stdout, stderr } = await network.spectrum("info", name, "--json");
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout);
}

/** The network device of the guest, as `info` shows it. */
async function net0(network: HostNetwork): Promise<DeviceInfo> {
  return net0Of(await infoOf(network, "netted"));
}

function net0Of({ devices }: VmInfo): DeviceInfo {
  const device = devices.find(({ name }) => name === "net0");
  assert.ok(device !== undefined);
  return device;
}

/** Waits until the VM says something because of what is done. */
async function happens(
  guest: RunningGuest,
  text: string,
  act: () => Promise<unknown>,
): Promise<void> {
  const from = guest.output.length;
  await act();
  await guest.until(() => guest.output.slice(from).includes(text));
}

/** Connections go on when a worker is replaced, and nothing of it stays behind in the monitor. */
async function recovers(
  t: Deno.TestContext,
  guest: RunningGuest,
  network: HostNetwork,
): Promise<void> {
  await t.step("a connection survives a killed worker", async () => {
    const info = await infoOf(network, "netted");
    const { pid: worker, restarts } = net0Of(info);
    const held = () => network.host(`ls /proc/${info.pid}/fd | wc -l`);
    const before = await held();
    await connectionSurvives(guest, network, async () => {
      await happens(guest, "the backend is back", () => network.host(`kill -9 ${worker}`));
    });
    assert.equal((await net0(network)).restarts, restarts + 1);
    assert.equal(await held(), before);
  });
}

/** Powers the guest off; no process of its network stays. */
async function ends(t: Deno.TestContext, guest: RunningGuest, network: HostNetwork): Promise<void> {
  await t.step("nothing is left", async () => {
    const { pid, net } = await net0(network);
    await guest.process.write("poweroff\n");
    assert.equal(await guest.process.status, 0, guest.output);
    for (const process of [pid, net?.passt ?? pid]) {
      await network.host(`[ ! -e /proc/${process} ]`);
    }
  });
}
