import { InvalidArgumentError, Option } from "commander";
import { parseSize } from "../config/mod.ts";
import { sandboxModes } from "../sandbox/mod.ts";

/** Reads the value of an option that is a number. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]+$/.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`A whole number from ${least} to ${most} is expected.`);
  };
}

/** Reads the value of an option that is a size in bytes: `512M`. */
export function sizeInBytes(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError('A size such as "512M" is expected.');
}

/** Gathers the values of an option that may be repeated. */
export function repeated(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** {@linkcode repeated} for an option whose value may be left out. */
export function repeatedOrNot(
  value: string | true,
  previous: readonly (string | true)[] = [],
): (string | true)[] {
  return [...previous, value];
}

/** `--sandbox`, of all commands that start workers. */
export function sandboxOption(): Option {
  const text = "how workers are jailed: reduced does without namespaces and Landlock, " +
    "debug ends workers and monitor at a system call that their rules lack, and names it";
  return new Option("--sandbox <mode>", text).choices(sandboxModes);
}
