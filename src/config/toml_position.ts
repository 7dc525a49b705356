import type { AST } from "toml-eslint-parser";

/**
 * The line (from 1) on which the value or table at a key path stands; the nearest enclosing table's where the
 * key itself is not written. Undefined when there is none, or the parser that keeps positions, which is not the one that
 * reads configurations, does not take the text. It is loaded only when there is an error to place, since it is large.
 */
export async function tomlLine(
  toml: string,
  path: readonly (string | number)[],
): Promise<number | undefined> {
  const { parseTOML, ParseError } = await import("toml-eslint-parser");
  const wanted = path.map(String);
  let best: { depth: number; line: number } | undefined;
  const consider = (key: readonly (string | number)[], node: AST.TOMLNode) => {
    const matches = key.length <= wanted.length &&
      key.every((part, i) => String(part) === wanted[i]);
    if (matches && (best === undefined || key.length > best.depth)) {
      best = { depth: key.length, line: node.loc.start.line };
    }
  };
  const visit = (node: AST.TOMLKeyValue, prefix: readonly (string | number)[]) => {
    const key = [...prefix, ...node.key.keys.map(keyText)];
    consider(key, node);
    visitValue(node.value, key);
  };
  const visitValue = (value: AST.TOMLContentNode, key: readonly (string | number)[]) => {
    if (value.type === "TOMLInlineTable") value.body.forEach((entry) => visit(entry, key));
    if (value.type === "TOMLArray") {
      value.elements.forEach((element, i) => {
        consider([...key, i], element);
        visitValue(element, [...key, i]);
      });
    }
  };
  try {
    for (const node of parseTOML(toml, { tomlVersion: "1.1" }).body[0].body) {
      if (node.type === "TOMLKeyValue") {
        visit(node, []);
      } else {
        consider(node.resolvedKey, node);
        node.body.forEach((entry) => visit(entry, node.resolvedKey));
      }
    }
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
  }
  return best?.line;
}

function keyText(key: AST.TOMLBare | AST.TOMLQuoted): string {
  return key.type === "TOMLBare" ? key.name : key.value;
}
