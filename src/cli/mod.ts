/** The command line: one file per command. */

export { cliPage } from "./cli_page.ts";
export { commandTree } from "./command_tree.ts";
export { main } from "./main.ts";
export { createProgram, VERSION } from "./program.ts";
