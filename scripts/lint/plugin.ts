/** Rules of our own for `deno lint`: what the layout of the program promises and no type can. */

import { downwardImports } from "./rules/downward_imports.ts";
import { noRawDescriptor } from "./rules/no_raw_descriptor.ts";
import { usingOwners } from "./rules/using_owners.ts";

const plugin: Deno.lint.Plugin = {
  name: "spectrum",
  rules: {
    "downward-imports": downwardImports,
    "no-raw-descriptor": noRawDescriptor,
    "using-owners": usingOwners,
  },
};

export default plugin;
