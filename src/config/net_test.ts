import assert from "node:assert/strict";
import { ConfigError, parseConfig, parsePublish, stableMac, type VmOverrides } from "./mod.ts";

const parse = (toml: string, overrides?: VmOverrides) =>
  parseConfig(`kernel = "k"\n${toml}`, "app.toml", overrides);
const refusal = async (toml: string, overrides?: VmOverrides) => {
  const error = await parse(toml, overrides).then(() => undefined, (error) => error);
  assert.ok(error instanceof ConfigError, `accepted, or failed otherwise: ${error}`);
  return error.message;
};

Deno.test("[net] without more words is a way out for anybody, with an address that stays", async () => {
  const { net } = await parse("[net]");
  assert.deepEqual(net, [{ out: "user", mac: stableMac("app", "net0"), publish: [] }]);
  assert.match(stableMac("app", "net0"), /^02(:[0-9a-f]{2}){5}$/);
  assert.notEqual(stableMac("app", "net0"), stableMac("app", "net1"));
  assert.notEqual(stableMac("app", "net0"), stableMac("apq", "net0"));
  assert.notEqual(stableMac("app", "net0", "one"), stableMac("app", "net0", "another"));
  assert.deepEqual((await parse("")).net, []);
});

Deno.test("[[net]] is several, and what was read once reads the same again", async () => {
  const config = await parse(`
    [[net]]
    tap = "tap0"
    queues = 2
    mtu = 1500
    [[net]]
    mac = "52:54:00:AB:CD:EF"
    publish = ["8080:80"]
    [[net]]
    provider = "vm:netvm"
  `);
  assert.deepEqual(config.net, [
    {
      ...{ out: "tap", tap: "tap0", queues: 2, mtu: 1500 },
      ...{ mac: stableMac("app", "net0"), publish: [] },
    },
    { out: "user", mac: "52:54:00:ab:cd:ef", publish: ["8080:80"] },
    { provider: "vm:netvm", publish: [] },
  ]);
  assert.deepEqual((await parseConfig("", "again", config)).net, config.net);
});

Deno.test("ports are published as they are written", () => {
  assert.deepEqual(parsePublish("8080:80"), { protocol: "tcp", hostPort: 8080, guestPort: 80 });
  assert.deepEqual(parsePublish("127.0.0.1:2222:22/tcp"), {
    ...{ protocol: "tcp", address: "127.0.0.1", hostPort: 2222, guestPort: 22 },
  });
  assert.deepEqual(parsePublish("[::1]:5353:53/udp"), {
    ...{ protocol: "udp", address: "::1", hostPort: 5353, guestPort: 53 },
  });
  for (const wrong of ["80", "0:80", "80:65536", "a:80:80", "1.2.3.256:1:1", "[1::2::3]:1:1", ""]) {
    assert.equal(parsePublish(wrong), undefined, wrong);
  }
});

Deno.test("--publish adds to the first device that can have it", async () => {
  const toml = '[[net]]\ntap = "t"\n[[net]]\npublish = ["1:1"]\n[[net]]\n';
  const { net } = await parse(toml, { publish: ["8080:80"] });
  assert.deepEqual(net.map(({ publish }) => publish), [[], ["1:1", "8080:80"], []]);
  assert.deepEqual((await parse("", { publish: ["8080:80"] })).net[0].publish, ["8080:80"]);
  assert.equal(
    await refusal('net.tap = "t"', { publish: ["1:1"] }),
    'command line: --publish: no network device of this VM has out = "user", which ports are published by',
  );
});

Deno.test("what network devices cannot be is refused with key, value and the mend", async () => {
  const cases = [
    ['[net]\nout = "nat"', 'app.toml:3: net.out: "user" or "tap" is expected'],
    ['[net]\nout = "tap"', 'app.toml:3: net.out: which interface? Add tap = "NAME"'],
    [
      '[net]\nout = "user"\ntap = "t0"',
      'app.toml:4: net.tap: "t0" is of no use to out = "user"; out = "tap" it is',
    ],
    ["[net]\npublsh = []", 'app.toml:3: net.publsh: unknown key "publsh"; did you mean "publish"?'],
    [
      '[net]\nmac = "03:00:00:00:00:01"',
      'app.toml:3: net.mac: the address of a single station, such as "02:00:00:00:00:01", is expected',
    ],
    [
      "[net]\nqueues = 2",
      'app.toml:3: net.queues: more than 1 need out = "tap"; passt has one stream',
    ],
    [
      '[net]\ndns = ["resolver"]',
      'app.toml:3: net.dns[0]: the address of a resolver is expected, such as "9.9.9.9"',
    ],
    [
      '[net]\ntap = "t"\ndns = ["::1"]',
      'app.toml:4: net.dns: only out = "user" announces resolvers; a tap\'s network does so itself',
    ],
    ["[net]\nmtu = 576", "app.toml:3: net.mtu: at least 1280 is needed, for IPv6"],
    [
      '[net]\npublish = ["80"]',
      'app.toml:3: net.publish[0]: a port of the host and one of the guest are expected: "8080:80", ' +
      '"127.0.0.1:2222:22" or "5353:53/udp"',
    ],
    [
      '[[net]]\npublish = ["8080:80"]\n[[net]]\npublish = ["127.0.0.1:8080:81"]',
      'app.toml:5: net[1].publish[0]: "127.0.0.1:8080:81" needs the port that "8080:80" has; choose another',
    ],
    [
      '[[net]]\ntap = "t"\n[[net]]\ntap = "t"',
      'app.toml:5: net[1].tap: net0 uses "t" already; name another interface',
    ],
    [
      '[net]\nprovider = "vm:app"',
      "app.toml:3: net.provider: a VM cannot provide its own devices; name another",
    ],
    [
      '[net]\nprovider = "vm:n"\nmtu = 1500',
      "app.toml:4: net.mtu: that is up to the backend in the other VM: say it there",
    ],
    [
      '[net]\nprovider = "vm:n"\npublish = ["1:1"]',
      "app.toml:4: net.publish: ports are published by the [net] of the VM that provides: say it there",
    ],
    [
      '[[provides]]\nkind = "net"\nto = "b"\ndevice = "net0"',
      "app.toml:2: provides[0]: this VM has no network to share; give it [net]",
    ],
    [
      '[net]\n[[provides]]\nkind = "net"\nto = "b"\ndevice = "net0"\n' +
      '[[provides]]\nkind = "net"\nto = "c"\ndevice = "net0"',
      'app.toml:7: provides[1].interface: "eth0" serves another VM already, and passt knows one guest; ' +
      'add a [[net]] for it, or use out = "tap"',
    ],
  ];
  for (const [toml, message] of cases) assert.equal(await refusal(toml), message);
});
