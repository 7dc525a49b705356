import { join } from "node:path";

/** Of an ordinary user whom tests become. */
const USER = 1000;

/**
 * Runs a script as root, or as an ordinary user: with the runtime at hand, which that user may not be able to get at.
 *
 * @returns its standard output
 */
export async function runAs(
  who: "ourselves" | "user",
  script: string,
  args: readonly string[],
): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-as-user-" });
  try {
    let program = Deno.execPath();
    let before: string[] = [];
    if (who === "user") {
      await Deno.chmod(folder, 0o755);
      program = join(folder, "deno");
      await Deno.copyFile(Deno.execPath(), program);
      before = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"];
    }
    const [command, ...rest] = [
      ...before,
      ...[program, "run", "-A", "--no-check", "--no-lock", "--no-config", script, ...args],
    ];
    const { code, stdout, stderr } = await new Deno.Command(command, {
      args: rest,
      stdin: "null",
      env: { DENO_DIR: join(folder, "cache"), HOME: "/", NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(stdout);
    if (code !== 0) throw new Error(`${script}: ${text}${new TextDecoder().decode(stderr)}`);
    return text;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
