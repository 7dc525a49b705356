import { basename } from "node:path";
import { type CpioEntry, type Progress, silent } from "../../src/guest/mod.ts";
import { findTool, findToolIfPresent } from "./execute.ts";
import { librariesOf } from "./images/add_program.ts";
import { FileSet } from "./images/file_set.ts";
import { buildImage } from "./images/image.ts";
import { bytesKey, keepFile } from "./images/kept.ts";
import { busyboxInitrd } from "./userland.ts";

/** What a guest prints before it takes commands from the serial console. */
export const GUEST_READY = "guest: ready";

/**
 * With `guest.run=BASE64` on the command line it runs that script, prints `guest: status N` and powers off; else it takes
 * commands from the console, one shell with neither echo nor prompt.
 */
const INIT = `
for label in guest-tools guest-deno guest-net; do
  tools=$(findfs LABEL=$label 2>/dev/null) && mount -o ro "$tools" /tools
done
work=$(findfs LABEL=guest-work 2>/dev/null) && mount -o ro "$work" /work
script=$(sed -n 's/.*guest\\.run=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
cd /root
if [ -n "$script" ]; then
  echo "$script" | base64 -d >/root/script
  sh /root/script
  echo "guest: status $?"
  end poweroff
fi
stty -echo </dev/console
echo "${GUEST_READY}"
export PS1= PS2=
shell -i
end poweroff
`;

/** Files of the guest that tests drive. */
export interface TestGuest {
  /** Initial RAM disk with busybox. */
  readonly initrd: string;
  /** A read-only disk to attach anywhere: fio and its libraries, found by its label. */
  readonly tools: string;
  /** Instead of that one: Deno and `wayland-info`, with their libraries. */
  readonly deno: string;
  /** Instead of those: iperf3. */
  readonly net: string;
}

/**
 * The guest for tests: busybox, drivers, and on disks of their own fio (82 MB with its libraries, too much for a RAM disk
 * in 256 MiB) and Deno. What a disk labelled `guest-work` holds is in `/work`. Without `modulesDir` it suits a kernel that has
 * everything built in.
 *
 * @param more what else lies in the initial RAM disk
 */
export async function testGuest(
  cacheDir: string,
  modulesDir: string | undefined,
  progress: Progress = silent,
  more: readonly CpioEntry[] = [],
): Promise<TestGuest> {
  const links: CpioEntry[] = ["usr", "lib", "lib64"].map((path) => ({
    kind: "link",
    path,
    target: path === "usr" ? "/tools/usr" : `/tools/usr/${path}`,
  }));
  const initrd = await busyboxInitrd(INIT, modulesDir, [
    { kind: "directory", path: "tools" },
    { kind: "directory", path: "work" },
    ...links,
    ...more,
  ]);
  return {
    initrd: await keepFile(
      cacheDir,
      "test-guest",
      "cpio",
      bytesKey(initrd),
      () => Promise.resolve(initrd),
    ),
    tools: await programsImage("guest-tools", [findTool("fio")], cacheDir, progress),
    deno: await denoImage(cacheDir, progress),
    net: await programsImage("guest-net", present(["iperf3"]), cacheDir, progress),
  };
}

async function denoImage(cacheDir: string, progress: Progress): Promise<string> {
  const programs = [Deno.execPath(), ...present(["wayland-info"])];
  return await programsImage("guest-deno", programs, cacheDir, progress);
}

/** Paths of those programs that the host has. */
function present(names: readonly string[]): string[] {
  return names.map(findToolIfPresent).filter((path) => path !== undefined);
}

/** Programs in the guest's `/usr/bin`, with their libraries, on a disk that is found by the image's name. */
async function programsImage(
  name: string,
  programs: readonly string[],
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  const files = new FileSet();
  for (const path of programs) await files.addFile(path, `/usr/bin/${basename(path)}`);
  for (const library of await librariesOf(programs)) await files.addFile(library);
  return await buildImage(name, files, cacheDir, progress);
}

/** The kernel command line's word for a script. */
export function guestScript(script: string): string {
  const word = `guest.run=${btoa(script)}`;
  // COMMAND_LINE_SIZE of x86 is 2048.
  if (word.length > 1900) throw new RangeError("the script is too long for a kernel command line");
  return word;
}
