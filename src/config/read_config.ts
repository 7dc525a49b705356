import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { basename, dirname, resolve } from "node:path";
import { ConfigError } from "./config_error.ts";
import { contextIdOf } from "./context_id.ts";
import { nearest } from "./nearest.ts";
import { brokenNetRelation, withNetDefaults } from "./net_relations.ts";
import { Net, Provides, Vm, type VmConfig, type VmInput, Vsock, Wl } from "./schema.ts";
import { tomlLine } from "./toml_position.ts";

/** Bytes of a file that somebody wrote; more would only fill our memory. */
const MOST_TEXT = 2 ** 20;
/** Doorbells of a VM that provides and does not say how many it has. */
const PROVIDERS_DOORBELLS = 128;
const KERNEL_NAME = /^(debian|small(:[a-z0-9-]+)?)$/;

/** Keys that somebody sets over a file's, and ports that are published beside those of the file. */
export type VmOverrides = Partial<VmInput> & { readonly publish?: readonly string[] };

/** Whether a kernel is one of ours by its name, rather than a path. */
export function isKernelName(kernel: string): boolean {
  return KERNEL_NAME.test(kernel);
}

/**
 * Reads and checks a VM's TOML file; paths in it become absolute, relative to the file.
 *
 * @param overrides keys that the command line sets; they replace the file's
 * @throws {ConfigError} naming file, line, key, reason and the nearest valid key
 *
 * @example
 * ```ts
 * await Deno.writeTextFile("/tmp/spectrum-example.toml", 'kernel = "debian"');
 * const config = await readConfig("/tmp/spectrum-example.toml", { memory: "1G" });
 * console.log(config.memory === 2 ** 30);
 * await Deno.remove("/tmp/spectrum-example.toml");
 * ```
 */
export async function readConfig(
  file: string,
  overrides: VmOverrides = {},
): Promise<VmConfig> {
  let toml: string;
  try {
    toml = await readText(file);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new ConfigError(`cannot read the configuration: ${reason}`, file);
  }
  return await parseConfig(toml, file, overrides);
}

/**
 * {@linkcode readConfig} for a text that is at hand; `file` is what messages call it and where paths start from.
 *
 * @example
 * ```ts
 * const { cpus } = await parseConfig('kernel = "debian"\ncpus = 2', "app.toml");
 * console.log(cpus);
 * ```
 */
export async function parseConfig(
  toml: string,
  file: string,
  overrides: VmOverrides = {},
): Promise<VmConfig> {
  let written: Record<string, unknown>;
  try {
    written = parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split("\n")[0].replace(/^Invalid TOML document: /, "");
    throw new ConfigError(`this is not TOML: ${reason}`, `${file}:${error.line}:${error.column}`);
  }
  absolutePaths(written, dirname(resolve(file)));
  const { publish = [], ...set } = overrides;
  const input: Record<string, unknown> = { name: nameOf(file), ...written, ...set };
  if (input.image !== undefined) input.kernel ??= "small";
  if (publish.length > 0) input.net = withPublished(input.net, publish);
  const refuse = async (at: readonly (string | number)[], reason: string): Promise<never> => {
    // A table is a list of one.
    const single = at[0] === "net" && typeof at[1] === "number" && isTable(input.net);
    const path = single ? ["net", ...at.slice(2)] : at;
    const fromFlags = path.length > 0 && Object.hasOwn(overrides, path[0]);
    const line = fromFlags ? undefined : await tomlLine(toml, path);
    const place = fromFlags ? "command line" : line === undefined ? file : `${file}:${line}`;
    throw new ConfigError(reason, place, keyText(path));
  };
  const result = v.safeParse(Vm, input);
  if (!result.success) {
    const [issue] = result.issues;
    const path = issue.path?.map((item) => item.key as string | number) ?? [];
    return await refuse(path, reasonOf(issue));
  }
  const config = withImplied(withNetDefaults(result.output));
  const broken = brokenRelation(config);
  return broken === undefined ? config : await refuse(...broken);
}

function withImplied(config: VmConfig): VmConfig {
  return withWl(withContextId(withAgent(config)));
}

/** A distribution wants random numbers as it starts, and commands of its host. */
function withAgent(config: VmConfig): VmConfig {
  const { image, rng = {}, vsock = v.parse(Vsock, {}) } = config;
  return image === undefined ? config : { ...config, rng, vsock };
}

/** What a VM provides goes over Virtio Wayland, and its events by doorbells. */
function withWl(config: VmConfig): VmConfig {
  if (config.provides.length === 0) return config;
  const wl = config.wl ?? v.parse(Wl, {});
  return { ...config, wl: { ...wl, doorbells: wl.doorbells ?? PROVIDERS_DOORBELLS } };
}

/** Said once and for all, since a snapshot may be restored by another name. */
function withContextId(config: VmConfig): VmConfig {
  const { name, vsock } = config;
  if (vsock === undefined || vsock.provider !== undefined) return config;
  return { ...config, vsock: { ...vsock, cid: vsock.cid ?? contextIdOf(name) } };
}

/** All of a file, or of a pipe, whose size nobody knows. */
async function readText(path: string): Promise<string> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(MOST_TEXT + 1);
  let length = 0;
  for (let count; (count = await file.read(bytes.subarray(length))) !== null;) {
    length += count;
    if (length > MOST_TEXT) throw new Error(`it has more than ${MOST_TEXT} bytes`);
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** Rules between keys, which a schema of single keys cannot say: the first that is broken, as key path and reason. */
function brokenRelation(config: VmConfig): [(string | number)[], string] | undefined {
  const { image, overlay, disposable, root, initrd } = config;
  if (image !== undefined) {
    if (root !== undefined) return [["root"], "the image is the root file system: leave this out"];
    if (initrd !== undefined) return [["initrd"], "an image is booted by an initrd of ours"];
  } else if (overlay !== undefined || disposable) {
    const key = overlay === undefined ? "disposable" : "overlay";
    return [[key], 'this is about what is written on top of an image: image = "NAME"'];
  }
  for (const [i, disk] of config.disk.entries()) {
    const { path, socket, provider } = disk;
    if ([path, socket, provider].filter((where) => where !== undefined).length !== 1) {
      return [
        ["disk", i],
        "give exactly one of path (an image or block device), socket (a vhost-user backend) and provider (another VM)",
      ];
    }
  }
  const brokenNet = brokenNetRelation(config);
  if (brokenNet !== undefined) return brokenNet;
  const own = `vm:${config.name}`;
  const notItself = "a VM cannot provide its own devices; name another";
  if (config.vsock?.provider === own) return [["vsock", "provider"], notItself];
  if (config.vsock?.provider !== undefined && config.vsock.cid !== undefined) {
    return [["vsock", "cid"], "that is up to the backend in the other VM: say it there"];
  }
  if (config.rng?.provider === own) return [["rng", "provider"], notItself];
  if (config.console.provider === own) return [["console", "provider"], notItself];
  if (config.console.provider !== undefined && config.console.device !== "virtio") {
    return [
      ["console", "provider"],
      'only the console backend can be elsewhere: device = "virtio"',
    ];
  }
  for (const [i, { path, provider, readonly, cache, limit }] of config.disk.entries()) {
    if (limit !== undefined && path === undefined) {
      return [
        ["disk", i, "limit"],
        "only our own worker on this host limits a disk: it needs path",
      ];
    }
    if (provider === undefined) continue;
    if (provider === own) return [["disk", i, "provider"], notItself];
    if (readonly || cache !== "auto") {
      const key = readonly ? "readonly" : "cache";
      return [["disk", i, key], "that is up to the backend in the other VM: say it there"];
    }
  }
  for (const [i, { to, device }] of config.provides.entries()) {
    if (to === config.name) return [["provides", i, "to"], notItself];
    const first = config.provides.findIndex((other) => other.to === to && other.device === device);
    if (first < i) return [["provides", i], `${device} of "${to}" is provided already`];
  }
  if (config.provides.length > 0 && config.wl?.socket !== undefined) {
    return [["wl", "socket"], "what a VM provides goes by a Virtio Wayland device of ours"];
  }
  const { sockets = {}, socket } = config.wl ?? {};
  const taken = ["config", ...config.provides.map(({ to, device }) => `${to}/${device}`)];
  const shadowed = config.provides.length > 0 && taken.find((name) => Object.hasOwn(sockets, name));
  if (shadowed) {
    return [["wl", "sockets", shadowed], "a VM that provides has a context of that name already"];
  }
  const wrong = Object.entries(sockets).find(([name, at]) => at === "auto" && name !== "wayland");
  if (wrong !== undefined) {
    return [["wl", "sockets", wrong[0]], 'only "wayland" can be found by itself; give a path'];
  }
  if (socket !== undefined && Object.keys(sockets).length > 0) {
    return [
      ["wl", "sockets"],
      "a backend that somebody else runs (wl.socket) has sockets of its own",
    ];
  }
  if (config.root !== undefined && Number(config.root.slice(4)) >= config.disk.length) {
    const have = config.disk.map((_, i) => `disk${i}`).join(", ") || "none";
    return [["root"], `there is no ${config.root}; the disks are: ${have}`];
  }
}

/** Network devices, as they are written, with more ports of the host for the first that can have them. */
function withPublished(net: unknown, publish: readonly string[]): unknown {
  const all: unknown[] = net === undefined ? [{}] : Array.isArray(net) ? net : [net];
  const takes = (entry: unknown) =>
    isTable(entry) && entry.out !== "tap" && entry.tap === undefined &&
    entry.provider === undefined;
  const at = all.findIndex(takes);
  if (at < 0) {
    throw new ConfigError(
      'no network device of this VM has out = "user", which ports are published by',
      "command line",
      "--publish",
    );
  }
  return all.map((entry, i) => {
    if (i !== at || !isTable(entry)) return entry;
    const { publish: before = [] } = entry;
    return { ...entry, publish: Array.isArray(before) ? [...before, ...publish] : before };
  });
}

function reasonOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "strict_object" && issue.expected === "never") {
    const key = String(issue.path?.at(-1)?.key);
    const guess = nearest(key, keysBeside(issue));
    return `unknown key "${key}"` + (guess === undefined ? "" : `; did you mean "${guess}"?`);
  }
  if (issue.type === "strict_object") {
    return issue.received === "undefined" ? "this key is required" : "a table is expected";
  }
  return issue.message;
}

/** The valid keys of the table in which an issue arose. */
function keysBeside(issue: v.BaseIssue<unknown>): string[] {
  const [first] = issue.path ?? [];
  const entries = Vm.entries;
  if (issue.path?.length === 1 || first === undefined) return Object.keys(entries);
  if (first.key === "disk") return Object.keys(entries.disk.wrapped.item.entries);
  if (first.key === "console") return Object.keys(entries.console.wrapped.entries);
  if (first.key === "wl") return Object.keys(entries.wl.wrapped.entries);
  if (first.key === "net") return Object.keys(Net.entries);
  if (first.key === "limits") return Object.keys(entries.limits.wrapped.entries);
  if (first.key === "vsock") return Object.keys(entries.vsock.wrapped.entries);
  if (first.key === "rng") return Object.keys(entries.rng.wrapped.entries);
  if (first.key === "provides") {
    return Provides.options.flatMap((option) => Object.keys(option.entries));
  }
  return [];
}

function keyText(path: readonly (string | number)[]): string {
  return path.map((part, i) => typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`)
    .join("");
}

/** A VM without a name is called after its file; one without a file after its process. */
function nameOf(file: string): string {
  const stem = basename(file, ".toml").toLowerCase().replace(/[^a-z0-9-]+/g, "-").slice(0, 20);
  return file.endsWith(".toml") && /^[a-z0-9]/.test(stem) ? stem : `vm-${Deno.pid}`;
}

/** Makes the paths of a file's tables absolute; what is malformed is left for the schema to name. */
function absolutePaths(table: Record<string, unknown>, base: string): void {
  const fix = (holder: Record<string, unknown>, key: string, isName: (text: string) => boolean) => {
    const value = holder[key];
    if (typeof value === "string" && value !== "" && !isName(value)) {
      holder[key] = resolve(base, value);
    }
  };
  const never = () => false;
  fix(table, "kernel", isKernelName);
  fix(table, "initrd", never);
  const { disk, console: output, wl } = table;
  if (Array.isArray(disk)) {
    for (const entry of disk) {
      if (!isTable(entry)) continue;
      fix(entry, "path", never);
      fix(entry, "socket", never);
    }
  }
  if (isTable(wl)) {
    fix(wl, "socket", never);
    const { sockets } = wl;
    if (isTable(sockets)) {
      for (const name of Object.keys(sockets)) fix(sockets, name, (text) => text === "auto");
    }
  }
  if (isTable(output)) fix(output, "to", (text) => text === "stdio" || text === "none");
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
