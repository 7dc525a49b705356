import { build, BuildError } from "./build/mod.ts";
import { type Purpose, requireTools } from "./setup/mod.ts";

/**
 * What every task does first: has the packages for its purposes installed and `build/` up to date. Takes
 * some tens of milliseconds when nothing is to be done; ends the program when it cannot be done.
 */
export async function ready(...purposes: readonly Purpose[]): Promise<void> {
  await requireTools(["build", ...purposes]);
  try {
    await build(undefined, (line) => console.error(line));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
