import { errorCode } from "../../../src/os/mod.ts";
import { type Column, columns } from "./columns.ts";

/** What became of each attempt: 0, -errno, or -999 for a system call at which a filter kills. */
export type Results = Partial<Record<Column, readonly (readonly [name: string, result: number])[]>>;

const FILTERED = -999;

/** What gets out of all of the jail; `nothing was tried` where that is so. */
export function escapesOf({ all = [] }: Results): string[] {
  if (all.length === 0) return ["nothing was tried"];
  return all.filter(([, result]) => result >= 0).map(([name]) => name);
}

/** One cell: `succeeds`, `killed`, or the error's name. */
export function cell(result: number): string {
  if (result === FILTERED) return "killed";
  return result >= 0 ? "succeeds" : errorCode(-result);
}

/** The escape table as Markdown, as docs/threat-model.md has it. */
export function escapeTable(results: Results): string {
  const titles: Partial<Record<Column, string>> = {
    permissions: "permissions only",
    namespaces: "namespaces",
    landlock: "Landlock",
    seccomp: "system calls",
    all: "all",
  };
  const names = (results.all ?? []).map(([name]) => name);
  const rows = names.map((name, i) => [
    name,
    ...columns.map((column) => cell(results[column]?.[i][1] ?? 0)),
  ]);
  const head = ["attempt", ...columns.map((column) => titles[column] ?? column)];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [head, head.map(() => "---"), ...rows].map(line).join("\n");
}
