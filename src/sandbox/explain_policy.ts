import type { ArgumentRule, CallRule } from "./call_rule.ts";
import { fileTitles } from "./jail_files.ts";
import type { Policy } from "./policy.ts";

/** What a policy says, for people: what each entry allows, and why. */
export function explainPolicy(policy: Policy): string {
  const { name, user, descriptors, namespaces, files, limits, measures, calls } = policy;
  const sections: [string, readonly (readonly [string, string])[]][] = [
    ["User, when root starts it", [[user.is === "own" ? "one of its VM" : user.is, user.why]]],
    ["Permissions of the runtime", [["none", "given up at the end of its set-up, for good"]]],
    ["Descriptors", descriptors.map(({ what, why }) => [what, why])],
    ["Namespaces of its own", namespaces.map(({ namespace, why }) => [namespace, why])],
    [
      "Files of its root, all read-only",
      files.map(({ file, right, why }) => [
        right === "execute" ? `${fileTitles[file]} (execute)` : fileTitles[file],
        why,
      ]),
    ],
    ["Limits", limits.map(({ resource, most, why }) => [`${resource}: ${amount(most)}`, why])],
    ["Measures", measures.map(({ measure, why }) => [measure, why])],
    ["System calls once it is set up", calls.map((rule) => [callsOf(rule), rule.why])],
  ];
  const parts = sections.filter(([, entries]) => entries.length > 0).map(([title, entries]) =>
    [`${title}:`, ...entries.map(([what, why]) => `  ${what}\n      ${why}`)].join("\n")
  );
  return [`The jail of ${name}`, ...parts].join("\n\n");
}

function amount(most: number): string {
  return most >= 2 ** 20 ? `${most / 2 ** 20} MiB` : String(most);
}

function callsOf({ calls, when = [], answer }: CallRule): string {
  const conditions = when.map(conditionOf);
  const condition = conditions.length === 0 ? "" : ` with ${conditions.join(" and ")}`;
  const refusal = answer === undefined ? "" : `: refused with ${Object.keys(answer)[0]}`;
  return `${calls.join(", ")}${condition}${refusal}`;
}

function conditionOf(rule: ArgumentRule): string {
  if ("never" in rule) return `${rule.what} without ${Object.keys(rule.never).join(", ")}`;
  const more = rule.ignoring === undefined
    ? ""
    : ` (${Object.keys(rule.ignoring).join(", ")} as well)`;
  return `${rule.what} ${Object.keys(rule.among).join(" or ")}${more}`;
}
