/** A kernel's configuration: value by option, both as they stand in a `.config`; without those that are not set. */
export type KernelConfig = ReadonlyMap<string, string>;

const LINE = /^(?:CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set)$/;

/**
 * Reads a `.config` or a fragment of one. `# CONFIG_X is not set` reads as `n`; of an option set twice the last counts.
 *
 * @throws {SyntaxError} on a line that is neither a setting nor a comment
 */
export function parseKernelConfig(text: string): KernelConfig {
  const config = new Map<string, string>();
  text.split("\n").forEach((line, i) => {
    const match = LINE.exec(line);
    if (match !== null) config.set(match[1] ?? match[3], match[2] ?? "n");
    else if (line !== "" && !line.startsWith("#")) {
      throw new SyntaxError(`line ${i + 1} of a kernel configuration is no setting: ${line}`);
    }
  });
  return config;
}

/** An option that did not become what it was asked to be. */
export interface LostOption {
  readonly option: string;
  readonly requested: string;
  /** `n` when it is not there at all. */
  readonly actual: string;
}

/**
 * The options of a fragment that a `.config` does not have so. The kernel's tools drop a setting without a word when what
 * it depends on is missing, or override it when something else selects it.
 */
export function lostOptions(requested: KernelConfig, actual: KernelConfig): LostOption[] {
  const lost: LostOption[] = [];
  for (const [option, value] of requested) {
    const is = actual.get(option) ?? "n";
    if (is !== value) lost.push({ option, requested: value, actual: is });
  }
  return lost;
}
