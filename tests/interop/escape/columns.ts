import type { Policy } from "../../../src/sandbox/mod.ts";

/** How much of a jail hostile code is in. */
export type Column =
  | "permissions"
  | "namespaces"
  | "landlock"
  | "seccomp"
  | "no calls"
  | "capabilities"
  | "all";

/** In the order of the table. */
export const columns: readonly Column[] = [
  "permissions",
  "namespaces",
  "landlock",
  "seccomp",
  "all",
];

/** That much of a policy. The attempts themselves come by a link in /proc. */
export function partOf(policy: Policy, column: Column): Policy {
  const full = {
    ...policy,
    files: [...policy.files, { file: "proc", right: "read", why: "the attempts" }] as const,
  };
  const bare = { ...full, namespaces: [], limits: [], measures: [], calls: [] };
  switch (column) {
    case "permissions":
      return bare;
    case "seccomp":
      return { ...bare, calls: full.calls };
    case "namespaces":
      return { ...bare, namespaces: full.namespaces };
    case "landlock":
      return { ...bare, measures: full.measures.filter(({ measure }) => measure === "landlock") };
    case "capabilities":
      return {
        ...bare,
        measures: full.measures.filter(({ measure }) => measure === "no capabilities"),
      };
    case "no calls":
      return {
        ...full,
        measures: full.measures.filter(({ measure }) => measure !== "landlock"),
        calls: [],
      };
    case "all":
      return full;
  }
}
