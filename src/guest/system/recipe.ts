import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { AGENT_PATH, AGENT_UNIT, AGENT_UNIT_NAME } from "../agent/mod.ts";

/** What every image has beside Debian's essential packages and apt. */
export const PACKAGES = [
  ...["systemd-sysv", "udev", "dbus", "libpam-systemd", "systemd-resolved"],
  ...["iproute2", "iputils-ping", "netbase", "ca-certificates", "procps"],
];

/** What dpkg does not unpack, in an image and later in a VM: what nobody reads in one, and tables of hardware it never has. */
export const LEFT_OUT = [
  "/usr/share/doc/*",
  "/usr/share/info/*",
  "/usr/share/locale/*",
  "/usr/share/man/*",
  "/usr/lib/udev/hwdb.d/*",
];

/** Licences stay. */
export const NOT_LEFT_OUT = ["/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias"];

/** Files that make a Debian one of our VMs. */
const FILES: Readonly<Record<string, string>> = {
  "etc/hosts": `127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
`,
  "etc/default/locale": "LANG=C.UTF-8\n",
  "etc/systemd/network/80-spectrum.network":
    `# Whatever network the VM has: an address by DHCP or from a router.
[Match]
Name=en* eth*
[Network]
DHCP=yes
`,
  // Names are asked of the server that DHCP tells, and of nobody nearby.
  "etc/systemd/resolved.conf.d/spectrum.conf": `[Resolve]
LLMNR=no
MulticastDNS=no
`,
  "etc/systemd/system/systemd-networkd-wait-online.service.d/spectrum.conf":
    `# A VM may have no network, or several of which one is enough.
[Unit]
ConditionPathExistsGlob=/sys/class/net/e*
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=30
`,
  "etc/systemd/system/serial-getty@.service.d/spectrum.conf":
    `# Whoever has the console is the VM's owner, whose the disks are, too.
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200,57600,38400,9600 - $TERM
`,
  "etc/systemd/system/ssh.service.d/spectrum.conf":
    `# Every VM has keys of its own; an image has none.
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
`,
  [`etc/systemd/system/${AGENT_UNIT_NAME}`]: AGENT_UNIT,
};

const ENABLED = ["systemd-networkd.service", "systemd-resolved.service", AGENT_UNIT_NAME];
/** An image is kept up to date by building it again; its file systems are checked by nobody but their journal. */
const DISABLED = ["apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer"];
/** The kernel has all that systemd would load at each boot. */
const MASKED = ["modprobe@.service"];

/**
 * Steps of mmdebstrap in the finished root file system: lines for a shell whose `$1` is its path, or commands of its own.
 *
 * @param agent path of our agent's program
 */
export function customizeHooks(agent: string): string[] {
  return [
    ...Object.entries(FILES).map(([path, text]) =>
      `printf %s ${quote(text)} | install -D -m 644 /dev/stdin "$1/${path}"`
    ),
    `install -d "$1${dirname(AGENT_PATH)}"`,
    `upload ${quote(agent)} ${AGENT_PATH}`,
    `chmod 755 "$1${AGENT_PATH}"`,
    `chroot "$1" systemctl --quiet enable ${ENABLED.join(" ")}`,
    `chroot "$1" systemctl --quiet mask ${MASKED.join(" ")}`,
    // Those that the packages bring.
    `chroot "$1" systemctl --quiet disable ${DISABLED.join(" ")} 2>/dev/null || true`,
    // A link into a folder of a running system: for the script's programs it is this machine's.
    `install -D -m 644 /etc/resolv.conf "$1/run/systemd/resolve/stub-resolv.conf"`,
  ];
}

/** Runs the user's script as root in the finished root file system. */
export function scriptHooks(path: string): string[] {
  const inside = "/tmp/spectrum-run";
  return [
    `upload ${quote(path)} ${inside}`,
    `chmod 755 "$1${inside}"`,
    // One without a first line of its own is the shell's.
    `if [ "$(head -c 2 "$1${inside}")" = "#!" ]; then chroot "$1" ${inside}; else chroot "$1" sh -e ${inside}; fi`,
  ];
}

/** What is of one machine or one moment, and no part of an image: paths, or folders whose content stays out. */
const TRACES = [
  /^(dev|proc|run|sys|tmp)\//,
  /^etc\/hostname$/,
  /^etc\/ssh\/ssh_host_/,
  /^etc\/(passwd|group|shadow|gshadow|subuid|subgid)-$/,
  /^var\/cache\/(apt|debconf)\/.*(\.bin|-old)$/,
  /^var\/lib\/(dpkg|systemd)\/.*(-old|random-seed)$/,
  /^var\/lib\/apt\/lists\/./,
  /^root\/\.(bash_history|wget-hsts)$/,
];

/** Whether something is to be in the image. */
export function belongs({ path, kind, size = 0 }: { path: string; kind: string; size?: number }) {
  if (kind === "file" && path.startsWith("var/log/") && size > 0) return false;
  return !TRACES.some((pattern) => pattern.test(path));
}

/** Changes with all that images are made of beside Debian's packages. */
export async function recipeHash(agent: string): Promise<string> {
  // Where the agent is on this machine makes no difference.
  const steps = [PACKAGES, LEFT_OUT, NOT_LEFT_OUT, customizeHooks(""), String(TRACES)];
  return createHash("sha256").update(JSON.stringify(steps)).update(await Deno.readFile(agent))
    .digest("hex");
}

/** A word for a shell, and for mmdebstrap's own commands. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
