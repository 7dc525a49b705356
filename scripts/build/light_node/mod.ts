/**
 * Replacements for modules of Node, for bundles. The first import of any of Node's costs a process of the
 * runtime 20 to 60 ms of start-up, 30 times as much in the lab; what our command line needs of them at its start is a
 * few functions. The rest is loaded from Node when it is called.
 */

const here = (file: string) => new URL(file, import.meta.url).pathname;

const replacements: Readonly<Record<string, string>> = {
  "node:child_process": here("child_process.ts"),
  "node:crypto": here("crypto.ts"),
  "node:events": here("events.ts"),
  "node:fs": here("fs.ts"),
  "node:path": here("path.ts"),
  "node:process": here("process.ts"),
  "node:util": here("util.ts"),
};

/** `import … from "node:x";` as `deno bundle` writes it: on a line of its own. */
const IMPORT = /^(import .* from )"(node:[\w/]+)";$/gm;

/** Globals of Node, which cost the same at the first look. Libraries ask for them only to use them when they are there. */
const GLOBAL = /\bglobalThis\.(?:process|Buffer)\b/g;

/** A bundle's text with light modules in place of Node's, and without its globals; unchanged when it uses none. */
export function lighten(bundle: string): string {
  return bundle.replace(GLOBAL, "undefined").replace(
    IMPORT,
    (line, start: string, name: string) => {
      const path = replacements[name];
      return path === undefined ? line : `${start}${JSON.stringify(path)};`;
    },
  );
}
