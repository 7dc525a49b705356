import assert from "node:assert/strict";

/** What `ip -j address` says of an interface. */
interface Link {
  readonly ifname: string;
  readonly mtu: number;
  readonly master?: string;
  readonly flags: readonly string[];
  readonly addr_info: readonly unknown[];
}

const script = new URL("testdata/share.ts", import.meta.url).pathname;
const NAMESPACE =
  `ip link add eth0 mtu 9000 type veth peer name far0 && ip link set far0 up && exec "$@"`;

Deno.test({
  name: "an interface is shared by a bridge with a tap for each, without addresses",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    const args = ["-n", "sh", "-c", NAMESPACE, "sh", Deno.execPath(), "run", "-A", script];
    const { success, stdout, stderr } = await new Deno.Command("unshare", { args }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const [both, one, refusal] = new TextDecoder().decode(stdout).trim().split("\n")
      .map((line) => JSON.parse(line));
    const ports = (links: Link[]) =>
      links.filter(({ master }) => master === "br-eth0").map(({ ifname }) => ifname).sort();
    assert.deepEqual(ports(both), ["eth0", "tap0", "tap1"]);
    assert.deepEqual(ports(one), ["eth0", "tap0"]);
    for (const { ifname, mtu, flags, addr_info } of both as Link[]) {
      if (ifname === "lo" || ifname === "far0") continue;
      assert.equal(mtu, 9000, ifname);
      assert.ok(flags.includes("UP"), ifname);
      assert.deepEqual(addr_info, [], ifname);
    }
    assert.equal(refusal, "the network of eth7 cannot be shared: there is no such interface");
  },
});
