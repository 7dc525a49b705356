import { BuildError } from "./build_error.ts";

/**
 * A bundle as a module that hands its text to the engine itself. The runtime parses every module for its imports before
 * the engine does, in each process anew: a third of a worker's start. A text in a string it has not to parse.
 *
 * @throws {BuildError} when the bundle imports or exports something
 */
export function evaluated(name: string, bundle: string): string {
  const code = `(async ${asFunction(name, bundle)})\n//# sourceURL=${name}\n`;
  return `await (0, eval)(${JSON.stringify(code)})(import.meta);\n`;
}

/**
 * A bundle as a script, for a thread, which is handed its text. It has no place of its own.
 *
 * @throws {BuildError} when the bundle imports or exports something
 */
export function asScript(name: string, bundle: string): string {
  return `(${asFunction(name, bundle)})({});\n//# sourceURL=${name}\n`;
}

/** An arrow function would be parsed twice, as its beginning looks like an expression. */
function asFunction(name: string, bundle: string): string {
  const found = /^(?:import|export)\b(?!\()|[;}](?:import|export)[\s{*]/m.exec(bundle);
  if (found !== null) {
    const place = bundle.slice(found.index, found.index + 60);
    throw new BuildError(name, `It imports or exports something: ${place}`);
  }
  const body = bundle.replaceAll(/\bimport\.meta\b/g, "spectrumMeta");
  return `function (spectrumMeta) { "use strict"; ${body}\n}`;
}
