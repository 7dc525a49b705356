/** CSI and OSC sequences, ECMA-48 §5.4 and §8.3.89. */
const CONTROL =
  // deno-lint-ignore no-control-regex
  /[\x1b\x9b](?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[0-?]*[ -/]*[@-~])/g;

/** A text without what only terminals understand. */
export function stripVTControlCharacters(text: string): string {
  return text.replace(CONTROL, "");
}
