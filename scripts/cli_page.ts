// Writes docs/cli.md, whose test says when it is old.
import { cliPage, commandTree, createProgram } from "../src/cli/mod.ts";
import { Log } from "../src/machine/mod.ts";
import { root } from "./root.ts";

const logOptions = () => ({ format: "text", level: "error" } as const);
const program = createProgram({
  log: () => new Log(logOptions()),
  logOptions,
  exitWith: () => {},
});
await Deno.writeTextFile(`${root}docs/cli.md`, cliPage(commandTree(program)));
await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", "docs/cli.md"], cwd: root })
  .output();
