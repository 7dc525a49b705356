/** A program that we need ended with an error, or is not there. */
export class ToolError extends Error {
  constructor(readonly program: string, readonly args: readonly string[], readonly output: string) {
    super(`${program} failed: ${output.trim()}`);
    this.name = "ToolError";
  }
}

/** Runs a program to its end and returns what it printed. */
export async function execute(program: string, args: readonly string[]): Promise<string> {
  const output = await new Deno.Command(findTool(program), {
    args: [...args],
    env: { LC_ALL: "C" },
    stdin: "null",
  }).output();
  if (!output.success) throw new ToolError(program, args, new TextDecoder().decode(output.stderr));
  return new TextDecoder().decode(output.stdout);
}

/** Which Debian package has a program. */
const PACKAGES: Readonly<Record<string, string>> = {
  "busybox": "busybox-static",
  "debugfs": "e2fsprogs",
  "e2fsck": "e2fsprogs",
  "fio": "fio",
  "gcc": "gcc and libc6-dev",
  "mke2fs": "e2fsprogs",
  "qemu-storage-daemon": "qemu-system-common",
  "qemu-system-x86_64": "qemu-system-x86",
  "setpriv": "util-linux",
};

/** Folders of programs: an ordinary user's PATH lacks the sbin ones. */
const FOLDERS = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];

/**
 * The path of a program of the host.
 *
 * @throws {ToolError} which names the package that has it
 */
export function findTool(program: string): string {
  const path = findToolIfPresent(program);
  if (path !== undefined) return path;
  throw new ToolError(
    program,
    [],
    `there is no such program. Install ${PACKAGES[program] ?? program}.`,
  );
}

/** The same, undefined where there is none. */
export function findToolIfPresent(program: string): string | undefined {
  for (const folder of FOLDERS) {
    try {
      Deno.statSync(`${folder}/${program}`);
      return `${folder}/${program}`;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}
