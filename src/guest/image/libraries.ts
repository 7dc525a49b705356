/** The dynamic linker of every x86-64 program that glibc runs (System V ABI, AMD64 supplement). */
const LINKER = "/lib64/ld-linux-x86-64.so.2";

/** A program that does not run here, so that it would not run in a guest either. */
export class LibrariesError extends Error {
  override readonly name = "LibrariesError";
}

/**
 * What a dynamically linked program needs to run: the linker, and its libraries by the paths at which the linker finds
 * them on this machine.
 *
 * @throws {LibrariesError} when the linker does not know
 */
export async function librariesOf(program: string): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(LINKER, {
    args: ["--list", program],
    clearEnv: true,
  }).output();
  if (!success) {
    const reason = new TextDecoder().decode(stderr).trim();
    throw new LibrariesError(`Cannot tell which libraries ${program} needs: ${reason}`);
  }
  // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`
  const found = [...new TextDecoder().decode(stdout).matchAll(/=> (\/\S+)/g)].map(([, path]) =>
    path
  );
  return [...new Set([LINKER, ...found])];
}
