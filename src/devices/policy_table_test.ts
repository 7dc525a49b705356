import assert from "node:assert/strict";
import type { Policy } from "../sandbox/mod.ts";
import { policies } from "./mod.ts";

const all = Object.values(policies);

/** What a policy has of some list, beyond what all of them have. */
function own(policy: Policy, namesOf: (policy: Policy) => readonly string[]): string {
  const names = [...new Set(namesOf(policy))];
  const more = names.filter((name) => !all.every((other) => namesOf(other).includes(name)));
  return more.length === 0 ? "–" : more.join(", ");
}

/** What kinds of devices have beyond each other, as Markdown. */
function policyTable(): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const head = ["device", "descriptors", "files", "system calls"];
  const rows = all.map((policy) => [
    policy.name,
    own(policy, ({ descriptors }) => descriptors.map(({ what }) => what)),
    own(policy, ({ files }) => files.map(({ file }) => file)),
    own(policy, ({ calls }) =>
      calls.flatMap(({ calls, when }): readonly string[] => {
        const requests = calls[0] === "ioctl" ? when?.[0] : undefined;
        return requests !== undefined && "among" in requests ? Object.keys(requests.among) : calls;
      })),
  ]);
  return [head, head.map(() => "---"), ...rows].map(row).join("\n");
}

Deno.test("docs/threat-model.md has what the policies of devices add, as they are", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/threat-model.md", import.meta.url));
  const words = (text: string) => text.replaceAll(/-{3,}/g, "---").replaceAll(/\s+/g, " ");
  assert.ok(
    words(page).includes(words(policyTable())),
    `The page should have:\n\n${policyTable()}`,
  );
});
