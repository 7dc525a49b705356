/** The command line: one file per command. */

export { main, VERSION } from "./main.ts";
