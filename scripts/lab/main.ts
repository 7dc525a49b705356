// `deno task lab`: a command in the lab, with this terminal.
import { FetchError } from "../../src/guest/mod.ts";
import { LabDiedError } from "./lab_died_error.ts";
import { ToolError } from "./execute.ts";
import { LabUsageError, parseArguments, USAGE } from "./options.ts";
import { runAttached } from "./run_attached.ts";

/** Exit status when the lab, not the command, failed. */
const LAB_FAILED = 125;

try {
  const options = parseArguments(Deno.args);
  if (options === "help") {
    console.log(USAGE);
    Deno.exit(0);
  }
  Deno.exit(await runAttached(options));
} catch (error) {
  if (error instanceof LabUsageError) {
    console.error(`${error.message}\n\n${USAGE}`);
    Deno.exit(1);
  }
  if (
    error instanceof LabDiedError || error instanceof ToolError || error instanceof FetchError
  ) {
    console.error(error.message);
    Deno.exit(LAB_FAILED);
  }
  throw error;
}
