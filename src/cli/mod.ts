/** The command line: one file per command. */

export { main } from "./main.ts";
export { createProgram, VERSION } from "./program.ts";
