import { join } from "node:path";
import type { Progress } from "../../../src/guest/mod.ts";
import { execute, findTool, findToolIfPresent } from "../execute.ts";
import { addPrograms } from "./add_program.ts";
import { FileSet } from "./file_set.ts";
import { buildImage } from "./image.ts";

/** Programs without which the lab is of no use. */
const NEEDED = ["busybox", "mke2fs", "qemu-system-x86_64"];

/** Programs that are put in where the host has them; what lacks one then fails inside, by name. */
const WANTED = [
  ...["bash", "setpriv", "strace", "unshare", "nsenter", "prlimit", "ip", "ss", "socat"],
  ...["debugfs", "dumpe2fs", "e2fsck", "fio", "qemu-img", "qemu-storage-daemon"],
  ...["weston", "wayland-info", "tmux"],
  // passt becomes the other where the processor can do more.
  ...["passt", "passt.avx2", "iperf3"],
  // Those of busybox know fewer options.
  ...[
    "cp",
    "date",
    "dd",
    "df",
    "du",
    "env",
    "head",
    "ls",
    "ps",
    "sha256sum",
    "stat",
    "tail",
    "timeout",
  ],
];

/** Programs outside of PATH, and what programs load when they run. */
const FILES = [
  "/usr/lib/qemu/virtiofsd",
  "/usr/lib/x86_64-linux-gnu/libweston-10/headless-backend.so",
  "/usr/lib/x86_64-linux-gnu/weston/kiosk-shell.so",
];

/** Data that QEMU needs for its machine types, weston for its keyboards, tmux for its terminals. */
const TREES = [
  "/usr/share/qemu",
  "/usr/share/seabios",
  "/usr/share/X11/xkb",
  "/lib/terminfo/s",
  "/lib/terminfo/x",
  "/usr/lib/locale/C.utf8",
];

/** Ids in the lab host; the agent knows them, too. */
export const LabIds = { user: 1000, kvm: 104 } as const;

const PASSWD = `root:x:0:0:root:/root:/bin/bash
user:x:${LabIds.user}:${LabIds.user}:user:/home/user:/bin/bash
nobody:x:65534:65534:nobody:/:/bin/false
`;

const GROUP = `root:x:0:
tty:x:5:
kvm:x:${LabIds.kvm}:user
user:x:${LabIds.user}:
nogroup:x:65534:
`;

/** The lab host's root file system: busybox, the Deno executable, QEMU and other peers, from the host's packages. */
export async function hostImage(
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  const files = new FileSet();
  for (
    const [link, target] of [["bin", "usr/bin"], ["sbin", "usr/sbin"], ["lib", "usr/lib"], [
      "lib64",
      "usr/lib64",
    ]]
  ) {
    files.addLink(`/${link}`, target);
  }
  for (
    const folder of [
      "/dev",
      "/proc",
      "/sys",
      "/run",
      "/tmp",
      "/root",
      "/mnt",
      "/scratch",
      "/out",
      "/home/user",
    ]
  ) {
    files.addDirectory(folder, folder === "/tmp" ? 0o1777 : 0o755);
  }
  const busybox = findTool("busybox");
  // A real program of the name may lie in a folder that PATH names later.
  const real = new Set([...NEEDED, ...WANTED.filter((name) => findToolIfPresent(name))]);
  for (const applet of (await execute("busybox", ["--list"])).trim().split("\n")) {
    if (!real.has(applet)) files.addLink(`/usr/bin/${applet}`, busybox);
  }
  await addPrograms(files, [
    ...NEEDED.map(findTool),
    ...WANTED.map(findToolIfPresent).filter((path) => path !== undefined),
    ...FILES.filter(isThere),
    ...qemuModules(),
    Deno.execPath(),
  ]);
  // As in Debian: busybox' shell would prefer its own applets to the programs above.
  const dash = findToolIfPresent("dash");
  if (dash !== undefined) {
    await addPrograms(files, [dash]);
    files.addLink("/usr/bin/sh", "dash");
  }
  for (const path of TREES) await files.addTree(path);
  files.addText("/etc/passwd", PASSWD);
  files.addText("/etc/group", GROUP);
  files.addText("/etc/hosts", "127.0.0.1 localhost lab\n");
  files.addText("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
  return await buildImage("host", files, cacheDir, progress);
}

/** Accelerators are modules of Debian's QEMU; those for screens and sound stay out. */
function qemuModules(): string[] {
  const folder = "/usr/lib/x86_64-linux-gnu/qemu";
  if (!isThere(folder)) return [];
  return [...Deno.readDirSync(folder)]
    .filter(({ name }) => /^accel-.*x86_64\.so$/.test(name))
    .map(({ name }) => join(folder, name));
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
