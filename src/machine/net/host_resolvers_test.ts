import assert from "node:assert/strict";
import { hostResolvers } from "./host_resolvers.ts";
import { passtArguments } from "./passt_arguments.ts";

const host = (files: Record<string, string>) => hostResolvers((path) => files[path] ?? "");
const own = "/etc/resolv.conf";
const upstream = "/run/systemd/resolve/resolv.conf";

Deno.test("resolvers that a guest can ask are the host's own", () => {
  const text = "# by hand\nsearch example.org\nnameserver 192.0.2.53\nnameserver 127.0.0.1\n" +
    "nameserver fe80::1%eth0\n nameserver\tfd00::53 \n";
  assert.deepEqual(host({ [own]: text }), { reachable: ["192.0.2.53", "fd00::53"] });
});

Deno.test("behind systemd-resolved they are those that it asks", () => {
  assert.deepEqual(
    host({ [own]: "nameserver 127.0.0.53\n", [upstream]: "nameserver 192.0.2.1\n" }),
    { reachable: ["192.0.2.1"] },
  );
});

Deno.test("a resolver that only the host reaches is said", () => {
  assert.deepEqual(host({ [own]: "nameserver 127.0.0.1\n" }), {
    ...{ reachable: [], loopback: "127.0.0.1" },
  });
  assert.deepEqual(host({}), { reachable: [] });
});

Deno.test("passt is told ports, resolvers and MTU, and to keep away the host's own services", () => {
  const publish = ["8080:80", "127.0.0.1:2222:22", "[::1]:5353:53/udp"];
  assert.deepEqual(
    passtArguments("/s", { publish, mtu: 1400 }, { reachable: ["192.0.2.53", "fd00::53"] }),
    [
      ...["--foreground", "--stderr", "--quiet", "--no-map-gw", "--socket", "/s", "--mtu", "1400"],
      ...["--dns", "192.0.2.53", "--dns", "fd00::53"],
      ...["--tcp-ports", "8080:80", "--tcp-ports", "127.0.0.1/2222:22"],
      ...["--udp-ports", "::1/5353:53"],
    ],
  );
  const named = passtArguments("/s", { publish: [], dns: ["9.9.9.9"] }, {
    ...{ reachable: [], loopback: "127.0.0.1" },
  });
  assert.deepEqual(named.slice(6), ["--mtu", "65520", "--dns", "9.9.9.9"]);
  const forwarded = passtArguments("/s", { publish: [] }, { reachable: [], loopback: "127.0.0.1" });
  assert.deepEqual(forwarded.slice(-2), ["--dns-forward", "169.254.1.1"]);
});
