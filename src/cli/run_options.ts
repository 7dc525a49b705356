import type { VmOverrides } from "../config/mod.ts";
import { ConfigError, parsePublish } from "../config/mod.ts";
import { resolve } from "node:path";

/** The flags of `spectrum run`, as the command line parser gives them. */
export interface RunFlags {
  readonly name?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly root?: string;
  readonly image?: string;
  readonly overlay?: string;
  readonly disposable?: boolean;
  readonly memory?: string;
  readonly cpus?: string;
  readonly disk?: readonly string[];
  /** One `--net` each; without a value it is true. */
  readonly net?: readonly (string | true)[];
  readonly publish?: readonly string[];
  readonly rng?: boolean;
  readonly vsock?: boolean;
  readonly console?: string;
  readonly consoleDevice?: string;
  readonly wl?: boolean;
  readonly wlSocket?: readonly string[];
}

/** The configuration keys that the flags set. Paths are relative to the working directory. */
export function flagsToInput(flags: RunFlags): VmOverrides {
  const input: Record<string, unknown> = {};
  for (const key of ["name", "cmdline", "root", "image", "overlay", "memory"] as const) {
    if (flags[key] !== undefined) input[key] = flags[key];
  }
  if (flags.kernel !== undefined) {
    input.kernel = /^(debian|small(:.*)?)$/.test(flags.kernel)
      ? flags.kernel
      : resolve(flags.kernel);
  }
  if (flags.initrd !== undefined) input.initrd = resolve(flags.initrd);
  if (flags.cpus !== undefined) input.cpus = Number(flags.cpus);
  if (flags.disk !== undefined) input.disk = flags.disk.map(parseDiskFlag);
  if (flags.net !== undefined) input.net = flags.net.map(parseNetFlag);
  if (flags.publish !== undefined) input.publish = flags.publish.map(checkPublish);
  if (flags.disposable) input.disposable = true;
  if (flags.rng) input.rng = {};
  if (flags.vsock) input.vsock = {};
  if (flags.console !== undefined || flags.consoleDevice !== undefined) {
    const { console: to = "stdio", consoleDevice: device } = flags;
    input.console = {
      to: to === "stdio" || to === "none" ? to : resolve(to),
      ...(device === undefined ? {} : { device }),
    };
  }
  if (flags.wl || flags.wlSocket !== undefined) {
    input.wl = { sockets: parseSocketFlags(flags.wlSocket ?? []) };
  }
  return input as VmOverrides;
}

/** Sockets of the host by name, from `NAME=PATH` each. */
export function parseSocketFlags(flags: readonly string[]): Record<string, string> {
  return Object.fromEntries(flags.map((flag) => {
    const [, name, path] = /^([^=]+)=(.+)$/.exec(flag) ?? [];
    if (name === undefined) {
      throw new ConfigError(
        `"${flag}" names no socket; write NAME=PATH, or wayland=auto`,
        "command line",
        "--wl-socket",
      );
    }
    return [name, path === "auto" ? path : resolve(path)];
  }));
}

/** A network device, from `user` or `tap=NAME`. */
function parseNetFlag(flag: string | true): Record<string, unknown> {
  if (flag === true || flag === "user") return { out: "user" };
  if (flag.startsWith("tap=")) return { out: "tap", tap: flag.slice("tap=".length) };
  if (flag.startsWith("vm=")) return { provider: `vm:${flag.slice("vm=".length)}` };
  throw new ConfigError(
    `"${flag}" is no way out; write user, tap=NAME or vm=NAME (a file's name stands before --net)`,
    "command line",
    "--net",
  );
}

function checkPublish(flag: string): string {
  if (parsePublish(flag) !== undefined) return flag;
  throw new ConfigError(
    `"${flag}" publishes no port; write HOST:GUEST, ADDRESS:HOST:GUEST or HOST:GUEST/udp`,
    "command line",
    "--publish",
  );
}

/** Options of a disk behind its path, in `--disk PATH,readonly,cache=none`. */
function parseDiskFlag(flag: string): Record<string, unknown> {
  const [first, ...options] = flag.split(",");
  const disk: Record<string, unknown> = first.startsWith("socket=")
    ? { socket: resolve(first.slice("socket=".length)) }
    : first.startsWith("vm=")
    ? { provider: `vm:${first.slice("vm=".length)}` }
    : { path: resolve(first) };
  const limit: Record<string, unknown> = {};
  for (const option of options) {
    const [key, value] = option.split("=", 2);
    if (key === "readonly" && value === undefined) disk.readonly = true;
    else if (key === "cache" && value !== undefined) disk.cache = value;
    else if (key === "queues" && value !== undefined) disk.queues = Number(value);
    else if (key === "iops" && value !== undefined) limit.iops = Number(value);
    else if (key === "bandwidth" && value !== undefined) limit.bandwidth = value;
    else {
      throw new ConfigError(
        `"${option}" is no option of a disk; use readonly, cache=auto|none, queues=N, iops=N or bandwidth=SIZE`,
        "command line",
        "--disk",
      );
    }
  }
  if (Object.keys(limit).length > 0) disk.limit = limit;
  return disk;
}
