import { type Command, CommanderError, Option } from "commander";
import { MachineError, serveDevice } from "../machine/mod.ts";
import { policies } from "../devices/mod.ts";
import { explainPolicy, type SandboxMode } from "../sandbox/mod.ts";
import { ExitStatus } from "./exit_status.ts";
import type { CliContext } from "./main.ts";
import { resolve } from "node:path";
import { parseSocketFlags } from "./run_options.ts";
import { repeated, sandboxOption, sizeInBytes, wholeNumber } from "./option_values.ts";

interface Connection {
  readonly socket?: string;
  readonly fd?: number;
  readonly context?: string;
  readonly sandbox?: SandboxMode;
}

interface BlkFlags extends Connection {
  readonly disk: string;
  readonly readonly?: boolean;
  readonly cache: "auto" | "none";
  readonly queues: number;
  readonly serial?: string;
  readonly iops?: number;
  readonly bandwidth?: number;
}

interface ConsoleFlags extends Connection {
  readonly to: string;
}

interface NetFlags extends Connection {
  readonly tap?: string;
  readonly stream?: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly queues: number;
}

interface VsockFlags extends Connection {
  readonly cid: number;
  readonly udsPath: string;
}

interface WlFlags extends Connection {
  readonly wlSocket?: readonly string[];
  readonly region?: number;
  readonly memory?: number;
  readonly vfds: number;
  readonly contexts: number;
}

const EXAMPLES = `
Example, with QEMU as the frontend:
  spectrum device blk --socket /tmp/disk.sock --disk disk.img --queues 2
  qemu-system-x86_64 -m 512M -object memory-backend-memfd,id=m,size=512M,share=on \\
    -machine q35,memory-backend=m -chardev socket,id=c,path=/tmp/disk.sock \\
    -device vhost-user-blk-pci,chardev=c,num-queues=2 …`;

/** `spectrum device KIND`: one device backend for any vhost-user frontend. */
export function addDeviceCommand(program: Command, context: CliContext): void {
  const device = program.command("device")
    .description("run one device backend in its sandbox, for any vhost-user frontend")
    .addHelpText("after", EXAMPLES);
  const kind = (name: keyof typeof policies, description: string) =>
    device.command(name)
      .description(description)
      .addOption(
        new Option("--socket <path>", "listen here for frontends, one at a time").conflicts([
          "fd",
          "context",
        ]),
      )
      .addOption(
        new Option("--fd <n>", "an inherited, connected socket").conflicts("socket")
          .argParser(wholeNumber(0, 2 ** 20)),
      )
      .addOption(
        new Option("--context <name>", "in a guest: the frontend is at this socket of the host")
          .conflicts("fd"),
      )
      .addOption(sandboxOption())
      .option("--explain", "print what such a device may do, and why, and serve nothing")
      // Before it is asked for what serving needs.
      .on("option:explain", () => {
        console.log(explainPolicy(policies[name]));
        throw new CommanderError(ExitStatus.Ok, "spectrum.explain", "");
      });
  const common = ({ socket, fd, context: name, sandbox }: Connection) => ({
    log: context.log(),
    sandbox,
    connection: socket === undefined ? { fd, context: name } : { socket: resolve(socket) },
  });

  kind("blk", "a disk: a raw image or a block device")
    .requiredOption("--disk <path>", "the image or block device")
    .option("--readonly", "the guest may only read")
    .addOption(
      new Option("--cache <mode>", "page cache or O_DIRECT").choices(["auto", "none"]).default(
        "auto",
      ),
    )
    .option("--queues <n>", "number of request queues, 1 to 64", wholeNumber(1, 64), 4)
    .option("--iops <n>", "requests a second at most", wholeNumber(1, 1e9))
    .option("--bandwidth <size>", "bytes a second at most, such as 50M", sizeInBytes)
    .option("--serial <text>", "what the guest reads as the disk's serial, at most 20 bytes")
    .action(async (flags: BlkFlags) => {
      const { disk, readonly = false, cache, queues, serial, iops, bandwidth } = flags;
      const limit = iops === undefined && bandwidth === undefined
        ? undefined
        : { operations: iops, bytes: bandwidth, burst: 1 };
      await serveDevice({
        ...common(flags),
        device: {
          kind: "blk",
          path: resolve(disk),
          readonly,
          cache,
          queues,
          serial,
          limit,
        },
      });
    });
  kind("rng", "a source of random numbers")
    .action(async (flags: Connection) => {
      await serveDevice({
        ...common(flags),
        device: { kind: "rng" },
      });
    });
  kind("console", "a virtio console")
    .option("--to <where>", "stdio, or a file that output is appended to", "stdio")
    .action(async (flags: ConsoleFlags) => {
      const to = flags.to === "stdio" ? "stdio" : resolve(flags.to);
      await serveDevice({
        ...common(flags),
        device: { kind: "console", to },
      });
    });
  kind("net", "a network device, on a tap or behind passt")
    .addOption(new Option("--tap <name>", "the host's tap").conflicts("stream"))
    .option("--stream <path>", "a socket of passt, or of whoever speaks its protocol")
    .option("--mac <address>", "what the guest gets as its address (default: made up)")
    .option("--mtu <bytes>", "what the guest is told as its largest packet", wholeNumber(68, 65535))
    .option("--queues <n>", "pairs of queues, 1 to 8", wholeNumber(1, 8), 1)
    .action(async (flags: NetFlags) => {
      const { tap, stream, mac, mtu, queues: pairs } = flags;
      if (tap === undefined && stream === undefined) {
        throw new MachineError(
          "usage",
          "Where do its packets go? Give --tap NAME or --stream PATH.",
        );
      }
      await serveDevice({
        ...common(flags),
        device: {
          kind: "net",
          to: tap === undefined ? { stream: resolve(stream ?? "") } : { tap },
          mac: mac?.toLowerCase(),
          mtu,
          pairs,
        },
      });
    });
  kind("vsock", "sockets between guest and host, which are Unix sockets here")
    .requiredOption("--cid <n>", "the guest's context id, 3 or more", wholeNumber(3, 2 ** 32 - 2))
    .requiredOption(
      "--uds-path <path>",
      "programs connect there and say CONNECT PORT; the guest's connections go to PATH_PORT",
    )
    .action(async (flags: VsockFlags) => {
      await serveDevice({
        ...common(flags),
        device: { kind: "vsock", cid: flags.cid, path: resolve(flags.udsPath) },
      });
    });
  kind("wl", "Virtio Wayland: sockets of the host for programs in the guest")
    .option("--wl-socket <name=path>", "a socket that the guest may open (repeatable)", repeated)
    .option("--region <size>", "address space for shared memory (default: 128G)", sizeInBytes)
    .option("--memory <size>", "what the guest may have allocated (default: 1G)", sizeInBytes)
    .option("--vfds <n>", "the most descriptors", wholeNumber(1, 8192), 1024)
    .option("--contexts <n>", "the most connections", wholeNumber(1, 8192), 64)
    .action(async (flags: WlFlags) => {
      const { wlSocket = [], region = 2 ** 37, memory = 2 ** 30, vfds, contexts } = flags;
      const sockets = parseSocketFlags(wlSocket);
      await serveDevice({
        ...common(flags),
        device: { kind: "wl", sockets, region, memory, vfds, contexts },
      });
    });
}
