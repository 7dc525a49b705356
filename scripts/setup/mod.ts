/** Brings what a task needs onto the machine, or says what to install. */

import { findMissing } from "./find_missing.ts";
import { install, installCommand, SetupError } from "./install.ts";
import type { Purpose } from "./needs.ts";

export { findMissing } from "./find_missing.ts";
export type { Purpose } from "./needs.ts";

/** Exit status: this host cannot do it. */
const HOST_CANNOT = 2;

/**
 * Makes sure that the packages for some purposes are there. As root it installs what is missing; otherwise
 * it prints the one command that does, and ends the program with status 2. Quick when nothing is missing.
 */
export async function requireTools(purposes: readonly Purpose[]): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    console.error(`spectrum runs on Linux on x86-64; this is ${Deno.build.target}.`);
    Deno.exit(HOST_CANNOT);
  }
  const missing = findMissing(purposes);
  if (missing.length === 0) return;
  const packages = missing.map((need) => need.package);
  try {
    if (Deno.uid() === 0) {
      await install(missing);
      const still = findMissing(purposes).map((need) => need.package);
      if (still.length === 0) return;
      throw new SetupError(`Installed, but still not as expected: ${still.join(" ")}`);
    }
    console.error("Some programs are missing:");
    for (const need of missing) console.error(`  ${need.package.padEnd(16)} ${need.why}`);
    const hasSudo = ["/usr/bin/sudo", "/bin/sudo"].some((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
    console.error(`\nInstall them with this command, then try again:\n`);
    console.error(`  ${installCommand(packages, hasSudo)}\n`);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    console.error(`Needed are these packages of Debian 12, or what is the same elsewhere:`);
    console.error(`  ${packages.join(" ")}`);
  }
  Deno.exit(HOST_CANNOT);
}
