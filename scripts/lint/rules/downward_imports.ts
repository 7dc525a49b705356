import { dirname, resolve } from "node:path";
import { root } from "../../root.ts";
import { placeOf, rooms } from "../rooms.ts";

/**
 * A room imports only from rooms before it, and everybody imports another room only by its `mod.ts`; tests, and what
 * is for tests (`testing.ts`, `testing/`), may also use its `testing.ts`. Files of the same room reach each other freely.
 */
export const downwardImports: Deno.lint.Rule = {
  create(context) {
    const from = placeOf(context.filename, root);
    const check = (source: Deno.lint.Node | null | undefined) => {
      if (source?.type !== "Literal" || typeof source.value !== "string") return;
      if (from === undefined || !source.value.startsWith(".")) return;
      const to = placeOf(resolve(dirname(context.filename), source.value), root);
      if (to?.room === undefined || to.room === from.room) return;
      if (!rooms.includes(to.room)) {
        return context.report({ node: source, message: `There is no room src/${to.room}.` });
      }
      const isTest = /_test\.ts$|^testing(\.ts$|\/)|^(scripts\/test|tests)\//.test(from.path);
      if (to.path !== "mod.ts" && !(isTest && to.path === "testing.ts")) {
        context.report({
          node: source,
          message: `src/${to.room}/${to.path} is private to its room.`,
          hint: `Import src/${to.room}/mod.ts.`,
        });
      }
      if (from.room !== undefined && rooms.indexOf(to.room) > rooms.indexOf(from.room)) {
        context.report({
          node: source,
          message: `src/${from.room} is below src/${to.room} and cannot import from it.`,
          hint: "Move what both need down, or hand it in through a constructor.",
        });
      }
    };
    return {
      ImportDeclaration: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      ImportExpression: (node) => check(node.source),
    };
  },
};
