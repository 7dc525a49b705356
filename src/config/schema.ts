import * as v from "valibot";
import { VSOCK_FIRST_GUEST_CID } from "../virtio/mod.ts";
import { isIpAddress, parsePublish } from "./publish.ts";
import { parseSize } from "./size.ts";

/** Limits of the machine, see docs/configuration.md. */
const MIN_MEMORY = 2 ** 20;
const MAX_MEMORY = 2 ** 36;
const MAX_CPUS = 8;
/** Of what a VM writes on top of its image: a file system with a journal. */
const MIN_OVERLAY = 2 ** 26;
/** What the MSI-X table of the doorbell function has room for. */
const MAX_DOORBELLS = 1024;

const size = v.pipe(
  v.union([v.string(), v.number()], 'a size such as "512M" is expected'),
  v.transform(String),
  v.check((text) => parseSize(text) !== undefined, 'a size such as "512M" or "2G" is expected'),
  v.transform((text) => parseSize(text) ?? 0),
);

/** NaN for what is none. */
const percent = (text: string) => /^\d+(\.\d+)?%$/.test(text) ? parseFloat(text) / 100 : NaN;

const text = v.string("a string is expected");
const path = v.pipe(text, v.nonEmpty("a path is expected, not an empty string"));
const flag = v.boolean("true or false is expected");
const wholeNumber = (what: string, most: number) =>
  v.pipe(
    v.number(`a number of ${what} is expected`),
    v.integer("a whole number is expected"),
    v.minValue(1, `at least 1 of the ${what} is needed`),
    v.maxValue(most, `at most ${most} ${what} are possible`),
  );
const vmName = v.pipe(
  text,
  v.regex(/^[a-z0-9][a-z0-9-]{0,19}$/, "use at most 20 of a-z, 0-9 and -, first not -"),
);
const cache = v.picklist(["auto", "none"], '"auto" or "none" is expected');
const queues = v.optional(wholeNumber("queues", 16));
/** `150%` of one processor, or 1.5. */
const processors = v.optional(
  v.pipe(
    v.union([v.string(), v.number()], 'a share such as "150%" is expected'),
    v.transform((share) => typeof share === "number" ? share : percent(share)),
    v.check((share) => share >= 0.01, '"1%" of a processor or more, such as "150%", is expected'),
  ),
);

/** Of all processes of the VM together: the monitor with the guest's vCPUs, and the workers. */
const Limits = v.strictObject({
  /** Processors. */
  cpu: processors,
  /** Memory beyond the guest's. */
  overhead: v.optional(v.pipe(size, v.minValue(64 * 2 ** 20, "at least 64M are needed"))),
});

const bandwidth = v.pipe(size, v.minValue(4096, "at least 4K a second are needed"));
/** Seconds of a rate that may be used at once. */
const burst = v.optional(
  v.pipe(
    v.number("a number of seconds is expected"),
    v.minValue(0.01, "at least 0.01 s are needed"),
    v.maxValue(3600, "at most an hour is possible"),
  ),
  1,
);
/** Requests and bytes a second of a disk. */
const diskLimit = v.optional(v.strictObject({
  iops: v.optional(wholeNumber("requests a second", 1e9)),
  bandwidth: v.optional(bandwidth),
  burst,
}));
/** Bytes a second of a network device, each way. */
const netLimit = v.optional(v.strictObject({ bandwidth, burst }));
/** `vm:NAME`: the device's backend runs in that VM. */
const provider = v.optional(
  v.pipe(text, v.regex(/^vm:[a-z0-9][a-z0-9-]{0,19}$/, '"vm:" and the name of a VM is expected')),
);

/** One `[[disk]]`: a raw image or a block device, or a foreign vhost-user backend. */
const Disk = v.strictObject({
  /** Path of the image, relative to the file that names it. */
  path: v.optional(path),
  /** Path of the vhost-user socket of a backend that somebody else runs, instead of `path`. */
  socket: v.optional(path),
  /** `vm:NAME`: its backend runs in that VM, instead of `path`. */
  provider,
  /** The guest may only read it. */
  readonly: v.optional(flag, false),
  /** `auto` uses the host's page cache, `none` O_DIRECT. */
  cache: v.optional(cache, "auto"),
  /** Request queues; by default one for each vCPU, at most 4. */
  queues,
  /** What it may do; all that it can when left out. */
  limit: diskLimit,
});

const mac = v.optional(
  v.pipe(
    text,
    v.toLowerCase(),
    v.regex(
      /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/,
      'the address of a single station, such as "02:00:00:00:00:01", is expected',
    ),
  ),
);

/** One network device: `[net]`, or `[[net]]` for several. */
export const Net = v.strictObject({
  /** `user` goes through passt, with the rights of an ordinary program; `tap` is an interface of the host. */
  out: v.optional(v.picklist(["user", "tap"], '"user" or "tap" is expected')),
  /** The host's interface of `tap`. */
  tap: v.optional(
    v.pipe(
      text,
      v.regex(
        /^[a-zA-Z0-9_.-]{1,15}$/,
        "the name of an interface has 1 to 15 of a-z, 0-9, _, . and -",
      ),
    ),
  ),
  /** By default one that follows from the names of VM and device. */
  mac,
  /** The largest packet in bytes, without its Ethernet header. */
  mtu: v.optional(
    v.pipe(
      v.number("a number of bytes is expected"),
      v.integer("a whole number is expected"),
      v.minValue(1280, "at least 1280 is needed, for IPv6"),
      v.maxValue(65520, "at most 65520 is possible"),
    ),
  ),
  /** What it may carry; all that it can when left out. */
  limit: netLimit,
  /** Pairs of queues, of a tap. */
  queues: v.optional(wholeNumber("queue pairs", 8)),
  /** Ports of the host that lead to the guest: `8080:80`, `127.0.0.1:2222:22`, `5353:53/udp`. */
  publish: v.optional(
    v.array(
      v.pipe(
        text,
        v.check(
          (port) => parsePublish(port) !== undefined,
          'a port of the host and one of the guest are expected: "8080:80", "127.0.0.1:2222:22" or "5353:53/udp"',
        ),
      ),
      'a list such as ["8080:80"] is expected',
    ),
    [],
  ),
  /** Addresses of the resolvers that `user` announces; by default those of the host. */
  dns: v.optional(
    v.array(
      v.pipe(
        text,
        v.check(isIpAddress, 'the address of a resolver is expected, such as "9.9.9.9"'),
      ),
      'a list such as ["9.9.9.9"] is expected',
    ),
  ),
  /** `vm:NAME`: its backend runs in that VM. */
  provider,
});
const OneNet = v.pipe(Net, v.transform((net) => [net]));
const SeveralNets = v.array(Net, "write [net], or [[net]] for each of several");

const Console = v.strictObject({
  /** `stdio`, `none`, or the path of a file that output is appended to. */
  to: v.optional(path, "stdio"),
  /** `serial` is the 8250 (ttyS0); `virtio` the console backend (hvc0). */
  device: v.optional(
    v.picklist(["serial", "virtio"], '"serial" or "virtio" is expected'),
    "serial",
  ),
  /** `vm:NAME`: the console backend runs in that VM, and the output goes where that VM says. */
  provider,
});

/** A guest's context id, by which sockets name it (vsock(7)). */
const cid = v.optional(
  v.pipe(
    v.number("a context id is expected: a number"),
    v.integer("a whole number is expected"),
    v.minValue(VSOCK_FIRST_GUEST_CID, "0 to 2 are not for guests: 3 is the first context id"),
    v.maxValue(0xffff_fffe, "4294967294 is the last context id"),
  ),
);

/** Sockets between programs of the guest and of the host. */
export const Vsock = v.strictObject({
  /** The guest's context id; by default one that follows from the VM's name. */
  cid,
  /** `vm:NAME`: the backend runs in that VM, and what the guest reaches are programs there. */
  provider,
});

/** What every entry of `[[provides]]` says. */
const provided = <Device extends v.GenericSchema<string>>(device: Device) => ({
  /** The VM that may use it. */
  to: vmName,
  /** As which of its devices. */
  device,
});
/** Inside the VM that provides. */
const insidePath = v.pipe(text, v.startsWith("/", "an absolute path, inside this VM, is expected"));

/** One `[[provides]]`: a device of another VM, whose backend runs in this one. */
export const Provides = v.variant("kind", [
  v.strictObject({
    ...provided(v.pipe(text, v.regex(/^disk\d{1,2}$/, 'name a disk: "disk0" is the first'))),
    kind: v.literal("blk"),
    /** The image or block device inside this VM. */
    path: insidePath,
    /** The other VM may only read it. */
    readonly: v.optional(flag, false),
    /** `none` is O_DIRECT; `auto` uses this VM's page cache, whose unflushed writes die with this VM. */
    cache: v.optional(cache, "none"),
    /** Request queues. */
    queues,
  }),
  v.strictObject({
    ...provided(v.literal("rng", '"rng" is expected')),
    kind: v.literal("rng"),
  }),
  v.strictObject({
    ...provided(v.literal("console", '"console" is expected')),
    kind: v.literal("console"),
    /** Output is appended to this file inside this VM. */
    path: insidePath,
  }),
  v.strictObject({
    ...provided(v.pipe(text, v.regex(/^net\d$/, 'name a network device: "net0" is the first'))),
    kind: v.literal("net"),
    /** The interface inside this VM that it shares a network with. */
    interface: v.optional(
      v.pipe(
        text,
        v.regex(/^[a-zA-Z0-9_.-]{1,15}$/, 'the name of an interface is expected, such as "eth0"'),
      ),
      "eth0",
    ),
    /** By default the one that it would have without a provider. */
    mac,
  }),
  v.strictObject({
    ...provided(v.literal("vsock", '"vsock" is expected')),
    kind: v.literal("vsock"),
    /** Of the other VM; by default the one that follows from its name. */
    cid,
    /** Inside this VM: where programs connect to the other one, and the beginning of what it connects to. */
    path: insidePath,
  }),
], '"blk", "rng", "console", "net" or "vsock" is expected');

const GRANULE = 2 ** 21;
const MAX_MAPPINGS = 8192;

/** Virtio Wayland: which sockets of the host the guest may open by name, and how much it may hold. */
export const Wl = v.strictObject({
  /** By the name that the guest asks for: a socket's path, or `auto` for the user's Wayland display. */
  sockets: v.optional(
    v.record(
      v.pipe(
        text,
        v.regex(/^[\x21-\x7e]{1,32}$/, "a name has 1 to 32 characters that print, and no spaces"),
      ),
      path,
      "a table of socket paths by name is expected",
    ),
    {},
  ),
  /** Address space for the memory that guest and host share. */
  region: v.optional(
    v.pipe(
      size,
      v.minValue(2 * GRANULE, "at least 4M are needed"),
      v.check((bytes) => bytes % GRANULE === 0, "the region comes in steps of 2M"),
    ),
    "128G",
  ),
  /** The most memory that the guest may have the host allocate. */
  memory: v.optional(size, "1G"),
  /** The most virtual descriptors. */
  vfds: v.optional(wholeNumber("descriptors", MAX_MAPPINGS), 1024),
  /** The most connections to sockets of the host. */
  contexts: v.optional(wholeNumber("connections", MAX_MAPPINGS), 64),
  /** Slots of the doorbell function: so many events cross without a process of the host in between. */
  doorbells: v.optional(
    v.pipe(
      v.number("a number of doorbells is expected"),
      v.integer("a whole number is expected"),
      v.minValue(0, "0 is without doorbells"),
      v.maxValue(MAX_DOORBELLS, `at most ${MAX_DOORBELLS} doorbells are possible`),
    ),
  ),
  /** Path of the vhost-user socket of a backend that somebody else runs. */
  socket: v.optional(path),
});

/** The keys of a VM's TOML file; one table from which reading, checking and the docs come. */
export const Vm = v.strictObject({
  name: vmName,
  /** `debian`, `small`, `small:PROFILE`, or the path of a bzImage or PVH ELF image. */
  kernel: path,
  initrd: v.optional(path),
  /** The image of `spectrum image build` that is the root file system. */
  image: v.optional(vmName),
  /** The most that the VM may write on top of its image. */
  overlay: v.optional(
    v.pipe(
      size,
      v.minValue(MIN_OVERLAY, "at least 64M are needed"),
      v.check((bytes) => bytes % 4096 === 0, "its size comes in steps of 4 KiB"),
    ),
  ),
  /** What the VM writes on top of its image is thrown away at its end. */
  disposable: v.optional(flag, false),
  cmdline: v.optional(text, ""),
  /** The disk that is the root file system: `disk0`, `disk1`, … */
  root: v.optional(v.pipe(text, v.regex(/^disk\d+$/, 'name a disk: "disk0" is the first'))),
  memory: v.optional(
    v.pipe(
      size,
      v.minValue(MIN_MEMORY, "at least 1M of memory is needed"),
      v.maxValue(MAX_MEMORY, "at most 64G of memory is possible"),
      v.check((bytes) => bytes % 4096 === 0, "memory comes in pages of 4 KiB"),
    ),
    "512M",
  ),
  cpus: v.optional(
    v.pipe(
      v.number("a number of vCPUs is expected"),
      v.integer("a whole number is expected"),
      v.minValue(1, "at least 1 vCPU is needed"),
      v.maxValue(MAX_CPUS, `at most ${MAX_CPUS} vCPUs are possible`),
    ),
    1,
  ),
  disk: v.optional(v.array(Disk, "write [[disk]], a list of tables"), []),
  net: v.optional(
    v.lazy((input): typeof OneNet | typeof SeveralNets =>
      typeof input === "object" && !Array.isArray(input) ? OneNet : SeveralNets
    ),
    [],
  ),
  rng: v.optional(v.strictObject({ provider })),
  console: v.optional(Console, {}),
  vsock: v.optional(Vsock),
  limits: v.optional(Limits),
  wl: v.optional(Wl),
  provides: v.optional(v.array(Provides, "write [[provides]], a list of tables"), []),
});

/**
 * A VM as it is written: TOML tables, or what the command line's flags say.
 *
 * @example
 * ```ts
 * const input: VmInput = { name: "app", kernel: "debian", disk: [{ path: "app.img" }] };
 * ```
 */
export type VmInput = v.InferInput<typeof Vm>;
/**
 * A VM with every default filled in; memory in bytes.
 *
 * @example
 * ```ts
 * import { parseConfig } from "spectrum";
 *
 * const config: VmConfig = await parseConfig('kernel = "debian"', "app.toml");
 * console.log(config.memory, config.cpus);
 * ```
 */
export type VmConfig = v.InferOutput<typeof Vm>;
/**
 * One disk of a VM.
 *
 * @example
 * ```ts
 * const disk: DiskConfig = { path: "/var/app.img", readonly: true, cache: "auto" };
 * ```
 */
export type DiskConfig = VmConfig["disk"][number];
/** One network device of a VM. */
export type NetConfig = VmConfig["net"][number];
/** A device that a VM provides to another. */
export type ProvidesConfig = VmConfig["provides"][number];
/** Virtio Wayland of a VM. */
export type WlConfig = NonNullable<VmConfig["wl"]>;
/** Sockets between guest and host. */
export type VsockConfig = NonNullable<VmConfig["vsock"]>;
/** Where the boot console goes. */
export type ConsoleConfig = VmConfig["console"];
