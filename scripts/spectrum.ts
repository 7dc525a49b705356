// `deno task spectrum ARGUMENTS`: the command line from source. It becomes this process, so that signals,
// terminal and exit status are those of the program itself.
import { ready } from "./ready.ts";

const [command, subcommand] = Deno.args;
await ready(...(command === "kernel" && subcommand === "build" ? ["kernel" as const] : []));
// Tasks run in the repository; paths on the command line are meant from where the user is.
const directory = Deno.env.get("INIT_CWD");
if (directory !== undefined) Deno.chdir(directory);
await import(new URL("../build/spectrum.js", import.meta.url).href);
