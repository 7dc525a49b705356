import { BuildError } from "./build_error.ts";

/**
 * A bundle as a module that hands its text to the engine itself. The runtime parses every module for its imports before
 * the engine does, in each process anew: a third of a worker's start. A text in a string it has not to parse.
 *
 * @throws {BuildError} when the bundle imports or exports something
 */
export function evaluated(name: string, bundle: string): string {
  const found = /^(?:import|export)\b(?!\()|[;}](?:import|export)[\s{*]/m.exec(bundle);
  if (found !== null) {
    const place = bundle.slice(found.index, found.index + 60);
    throw new BuildError(name, `It imports or exports something: ${place}`);
  }
  const body = bundle.replaceAll(/\bimport\.meta\b/g, "spectrumMeta");
  // An arrow function would be parsed twice, as its beginning looks like an expression.
  const code =
    `(async function (spectrumMeta) { "use strict"; ${body}\n})\n//# sourceURL=${name}\n`;
  return `await (0, eval)(${JSON.stringify(code)})(import.meta);\n`;
}
