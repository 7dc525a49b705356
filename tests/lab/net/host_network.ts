import assert from "node:assert/strict";
import { GUEST_READY } from "../../../scripts/lab/mod.ts";
import type { StageProcess } from "../../../scripts/stage.ts";
import { type Bench, fromSource, RunningGuest } from "../machine.ts";

/** Where VMs run, and what they talk to: network namespaces, since a lab host has no network. */
const HOST = "spectrum-host", OUTSIDE = "spectrum-outside";

/** Addresses of the two. */
export const addresses = {
  host: { v4: "10.77.0.2", v6: "fd77::2" },
  outside: { v4: "10.77.0.1", v6: "fd77::1" },
  /** Of a tap, the host's end and the guest's. */
  tap: { v4: "10.78.0.1", v6: "fd78::1" },
  guest: { v4: "10.78.0.2", v6: "fd78::2" },
} as const;

const { host, outside, tap } = addresses;

/** A pair of interfaces, routes, a resolver; and the way to what is behind the tap. */
const SET_UP = `
for name in ${HOST} ${OUTSIDE}; do ip netns delete $name 2>/dev/null; ip netns add $name; done
set -e
modprobe -q veth || true; modprobe -q tun || true
chmod 666 /dev/net/tun
[ -e /etc/resolv.conf ] || touch /etc/resolv.conf
mkdir -p /etc/netns/${HOST} && echo nameserver ${outside.v4} >/etc/netns/${HOST}/resolv.conf
ip link add up0 netns ${HOST} type veth peer name far0 netns ${OUTSIDE}
in_host="ip netns exec ${HOST}" in_outside="ip netns exec ${OUTSIDE}"
$in_host sh -ec '
  ip link set lo up; ip link set up0 up
  ip addr add ${host.v4}/24 dev up0; ip addr add ${host.v6}/64 dev up0 nodad
  echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range
  ip route add default via ${outside.v4}; ip route add default via ${outside.v6} dev up0
  echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
$in_outside sh -ec '
  ip link set lo up; ip link set far0 up
  ip addr add ${outside.v4}/24 dev far0; ip addr add ${outside.v6}/64 dev far0 nodad
  ip route add 10.78.0.0/24 via ${host.v4}; ip route add fd78::/64 via ${host.v6} dev far0'
$in_host sh -ec '
  ip tuntap add dev tap0 mode tap user 1000 multi_queue; ip link set tap0 up
  ip addr add ${tap.v4}/24 dev tap0; ip addr add ${tap.v6}/64 dev tap0 nodad'
mkdir -p -m 700 /tmp/spectrum-net-user && chown 1000 /tmp/spectrum-net-user
`;

/** Seconds; longer copies have longer. */
const LIMIT = 500 + 4 * Number(Deno.env.get("SPECTRUM_NET_MIB") ?? 0);

/** An ordinary user, who may use KVM. */
const AS_USER = [
  ...["sh", "-c"],
  'exec setpriv --reuid=1000 --regid=1000 --groups=$(stat -c %g /dev/kvm) -- "$@"',
  "sh",
];
const USERS = { XDG_RUNTIME_DIR: "/tmp/spectrum-net-user", HOME: "/tmp/spectrum-net-user" };

/** The network around the VMs of a test. */
export class HostNetwork implements AsyncDisposable {
  readonly #bench: Bench;
  readonly #servers: StageProcess[] = [];

  private constructor(bench: Bench) {
    this.#bench = bench;
  }

  /** Sets it up, with a resolver and a server for iperf3 outside. */
  static async open(bench: Bench): Promise<HostNetwork> {
    const { status, stderr } = await bench.sh(SET_UP);
    assert.equal(status, 0, stderr);
    const network = new HostNetwork(bench);
    const resolver = new URL("dns_server.ts", import.meta.url).pathname;
    const { v4, v6 } = outside;
    await network.#serve(
      [Deno.execPath(), "run", "-A", "--no-config", resolver, v4, v6],
      "dns: ready",
    );
    await network.#serve(["iperf3", "--server", "--forceflush"], "Server listening");
    return network;
  }

  async #serve(command: string[], ready: string): Promise<void> {
    const started = Promise.withResolvers<void>();
    let output = "";
    const process = await this.#bench.stage.spawn({
      command: ["ip", "netns", "exec", OUTSIDE, ...command],
      timeout: LIMIT,
      onOutput: (bytes) => {
        output += new TextDecoder().decode(bytes);
        if (output.includes(ready)) started.resolve();
      },
    });
    void process.status.then((status) =>
      started.reject(new Error(`${command[0]} ended with status ${status}: ${output}`))
    );
    this.#servers.push(process);
    await started.promise;
  }

  /** Runs a shell script outside; throws when it fails. */
  async outside(script: string): Promise<string> {
    return await this.#in(OUTSIDE, script);
  }

  /** Runs a shell script where the VMs' processes are. */
  async host(script: string): Promise<string> {
    return await this.#in(HOST, script);
  }

  async #in(namespace: string, script: string): Promise<string> {
    const command = ["ip", "netns", "exec", namespace, "sh", "-ec", script];
    const { status, stdout, stderr } = await this.#bench.stage.run({ command, timeout: LIMIT });
    assert.equal(status, 0, `${script}: ${stderr}`);
    return stdout;
  }

  /** The program with these words, as the ordinary user. */
  async spectrum(...words: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    return await this.#bench.stage.run({
      command: [...this.#command(), ...words],
      env: USERS,
      timeout: LIMIT,
    });
  }

  /** Boots a guest of that user's, whose console is at hand. */
  async boot(words: readonly string[]): Promise<RunningGuest> {
    const guest = new RunningGuest();
    guest.process = await this.#bench.stage.spawn({
      command: [...this.#command(), ...words],
      env: USERS,
      timeout: LIMIT,
      onOutput: (bytes) => guest.see(bytes),
    });
    await guest.waitFor(GUEST_READY);
    return guest;
  }

  /** A file of that user's. */
  file(name: string): string {
    return `${USERS.HOME}/${name}`;
  }

  async write(name: string, text: string): Promise<void> {
    const command = ["sh", "-c", `cat >${this.file(name)}`];
    await this.#bench.stage.run({ command, stdin: text });
  }

  #command(): string[] {
    return ["ip", "netns", "exec", HOST, ...AS_USER, ...fromSource];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.signal(9);
    await Promise.all(this.#servers.map(({ status }) => status));
    await this.#bench.sh(`
      ip netns delete ${HOST}; ip netns delete ${OUTSIDE}; rm -rf /etc/netns/${HOST} ${USERS.HOME}`);
  }
}
