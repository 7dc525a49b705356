import { type CpioEntry, type Progress, silent } from "../../src/guest/mod.ts";
import { findTool } from "./execute.ts";
import { addPrograms } from "./images/add_program.ts";
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
tools=$(findfs LABEL=guest-tools 2>/dev/null) && mount -o ro "$tools" /tools
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
}

/**
 * The guest for tests: busybox, drivers, and on a disk of its own fio (82 MB with its libraries, too much for a RAM disk
 * in 256 MiB). Without `modulesDir` it suits a kernel that has everything built in.
 */
export async function testGuest(
  cacheDir: string,
  modulesDir: string | undefined,
  progress: Progress = silent,
): Promise<TestGuest> {
  const links: CpioEntry[] = ["usr", "lib", "lib64"].map((path) => ({
    kind: "link",
    path,
    target: path === "usr" ? "/tools/usr" : `/tools/usr/${path}`,
  }));
  const initrd = await busyboxInitrd(INIT, modulesDir, [
    { kind: "directory", path: "tools" },
    ...links,
  ]);
  return {
    initrd: await keepFile(
      cacheDir,
      "test-guest",
      "cpio",
      bytesKey(initrd),
      () => Promise.resolve(initrd),
    ),
    tools: await toolsImage(cacheDir, progress),
  };
}

async function toolsImage(cacheDir: string, progress: Progress): Promise<string> {
  const files = new FileSet();
  await addPrograms(files, [findTool("fio")]);
  return await buildImage("guest-tools", files, cacheDir, progress);
}

/** The kernel command line's word for a script. */
export function guestScript(script: string): string {
  const word = `guest.run=${btoa(script)}`;
  // COMMAND_LINE_SIZE of x86 is 2048.
  if (word.length > 1900) throw new RangeError("the script is too long for a kernel command line");
  return word;
}
