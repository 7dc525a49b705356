import { collide, parsePublish } from "./publish.ts";
import type { NetConfig, VmConfig } from "./schema.ts";
import { stableMac } from "./stable_mac.ts";

type Broken = [(string | number)[], string];

/** A configuration in which every network device of ours knows its way out and its address. */
export function withNetDefaults(config: VmConfig): VmConfig {
  if (config.net.length === 0) return config;
  const net = config.net.map((device, i) =>
    device.provider !== undefined ? device : {
      ...device,
      out: device.out ?? (device.tap === undefined ? "user" as const : "tap" as const),
      mac: device.mac ?? stableMac(config.name, `net${i}`),
    }
  );
  return { ...config, net };
}

/** The first rule between keys of network devices that is broken, as key path and reason. */
export function brokenNetRelation(config: VmConfig): Broken | undefined {
  for (const [i, net] of config.net.entries()) {
    const broken = net.provider === undefined
      ? brokenDevice(net)
      : brokenProvided(net, config.name);
    if (broken !== undefined) return [["net", i, ...broken[0]], broken[1]];
    const first = config.net.findIndex(({ tap }) => tap !== undefined && tap === net.tap);
    if (first >= 0 && first < i) {
      return [["net", i, "tap"], `net${first} uses "${net.tap}" already; name another interface`];
    }
  }
  return brokenPublish(config.net) ?? brokenProvides(config);
}

function brokenDevice({ out, tap, queues, publish, dns }: NetConfig): Broken | undefined {
  if (out === "tap") {
    if (tap === undefined) return [["out"], 'which interface? Add tap = "NAME"'];
    if (dns !== undefined) {
      return [["dns"], 'only out = "user" announces resolvers; a tap\'s network does so itself'];
    }
    if (publish.length > 0) {
      return [
        ["publish"],
        'only out = "user" publishes; behind a tap the guest has its own address',
      ];
    }
    return;
  }
  if (tap !== undefined) {
    return [["tap"], `"${tap}" is of no use to out = "user"; out = "tap" it is`];
  }
  if (queues !== undefined && queues > 1) {
    return [["queues"], 'more than 1 need out = "tap"; passt has one stream'];
  }
}

/** All else is said where its backend runs. */
function brokenProvided(net: NetConfig, vm: string): Broken | undefined {
  if (net.provider === `vm:${vm}`) {
    return [["provider"], "a VM cannot provide its own devices; name another"];
  }
  for (const key of ["out", "tap", "mac", "mtu", "queues", "dns", "limit"] as const) {
    if (net[key] !== undefined) {
      return [[key], "that is up to the backend in the other VM: say it there"];
    }
  }
  if (net.publish.length > 0) {
    return [["publish"], "ports are published by the [net] of the VM that provides: say it there"];
  }
}

function brokenPublish(nets: readonly NetConfig[]): Broken | undefined {
  const all = nets.flatMap(({ publish }, i) =>
    publish.flatMap((text, k) => {
      const port = parsePublish(text);
      return port === undefined ? [] : [{ text, port, path: ["net", i, "publish", k] }];
    })
  );
  for (const [i, { text, port, path }] of all.entries()) {
    const other = all.slice(0, i).find((before) => collide(before.port, port));
    if (other !== undefined) {
      return [path, `"${text}" needs the port that "${other.text}" has; choose another`];
    }
  }
}

function brokenProvides({ net, provides }: VmConfig): Broken | undefined {
  const seen = new Set<string>();
  for (const [i, entry] of provides.entries()) {
    if (entry.kind !== "net") continue;
    if (net.length === 0) {
      return [["provides", i], "this VM has no network to share; give it [net]"];
    }
    if (seen.has(entry.interface) && net.every(({ out }) => out === "user")) {
      return [
        ["provides", i, "interface"],
        `"${entry.interface}" serves another VM already, and passt knows one guest; ` +
        'add a [[net]] for it, or use out = "tap"',
      ];
    }
    seen.add(entry.interface);
  }
}
