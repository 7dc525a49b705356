import type { Policy } from "../../sandbox/mod.ts";

/**
 * The jail of passt is its own: it gives up its root, its capabilities and most system calls by itself once it has
 * opened what it needs, which is the host's network. Landlock or a root of ours would keep it from that.
 */
export const passtPolicy: Policy = {
  name: "passt",
  user: { is: "nobody", why: "whom it would become by itself, and then outlive its monitor" },
  descriptors: [{ what: "its error output", why: "the monitor reads it" }],
  namespaces: [],
  files: [],
  limits: [],
  measures: [],
  calls: [],
};
