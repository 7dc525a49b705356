import { type Progress, showProgress } from "../../src/guest/mod.ts";
import type { Need } from "./needs.ts";

/** Packages could not be installed; the message says what to do. */
export class SetupError extends Error {
  override readonly name = "SetupError";
}

const quiet = ["-q", "-o", "DPkg::Lock::Timeout=600", "-o", "APT::Status-Fd=1"];

/** The one command that installs packages. */
export function installCommand(packages: readonly string[], hasSudo: boolean): string {
  const steps = `apt-get update && apt-get install -y --no-install-recommends ${
    packages.join(" ")
  }`;
  return hasSudo ? `sudo sh -c '${steps}'` : `su -c '${steps}'`;
}

/**
 * Installs Debian packages, without questions and without what they merely recommend.
 *
 * @throws {SetupError} with what apt-get said
 */
export async function install(missing: readonly Need[]): Promise<void> {
  const progress = showProgress();
  progress(missing.length === 1 ? "Installing a Debian package:" : "Installing Debian packages:");
  for (const need of missing) progress(`  ${need.package.padEnd(16)} ${need.why}`);
  if (!hasFreshLists()) await aptGet(["update"], progress, "Reading Debian's package lists");
  const packages = missing.map((need) => need.package);
  await aptGet(
    ["install", "-y", "--no-install-recommends", ...packages],
    progress,
    "Downloading and installing",
  );
}

/** Whether the package lists are there and less than an hour old, as after an installation just before. */
function hasFreshLists(folder = "/var/lib/apt/lists"): boolean {
  try {
    const hasLists = [...Deno.readDirSync(folder)].some(({ name }) => /_Packages/.test(name));
    const { mtime } = Deno.statSync(folder);
    return hasLists && mtime !== null && Date.now() - mtime.getTime() < 3_600_000;
  } catch {
    return false;
  }
}

async function aptGet(args: readonly string[], progress: Progress, step: string): Promise<void> {
  progress(step);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("apt-get", {
      args: [...quiet, ...args],
      env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new SetupError("There is no apt-get here to install them with.");
    }
    throw error;
  }
  const [, errors, status] = await Promise.all([
    followStatus(child.stdout, (fraction) => progress(step, fraction)),
    new Response(child.stderr).text(),
    child.status,
  ]);
  if (status.success) return;
  throw new SetupError(`apt-get ${args[0]} failed (status ${status.code}):\n${errors.trimEnd()}`);
}

/**
 * Reads apt's status lines, `dlstatus:N:PERCENT:TEXT` while it downloads and `pmstatus:PACKAGE:PERCENT:TEXT`
 * while it installs: each is a half of the whole.
 */
async function followStatus(
  output: ReadableStream<Uint8Array>,
  report: (fraction: number) => void,
): Promise<void> {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, kind, percent] = /^(dl|pm)status:[^:]*:([\d.]+):/.exec(line) ?? [];
      if (kind !== undefined) report(((kind === "pm" ? 100 : 0) + Number(percent)) / 200);
    }
  }
}
