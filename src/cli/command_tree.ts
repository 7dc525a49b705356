import type { Argument, Command, Option } from "commander";

/** What the shell can offer for a word. */
export type WordKind =
  | { readonly choices: readonly string[] }
  | { readonly of: "vm" | "image" | "file" | "directory" | "place" | "nothing" };

/** An option as completions and pages need it. */
export interface OptionNode {
  /** `-f`, `--follow` */
  readonly flags: readonly string[];
  readonly description: string;
  /** The word behind it, if it takes one. */
  readonly value?: { readonly name: string; readonly kind: WordKind };
  /** The default, when it is worth saying. */
  readonly standard?: string;
}

/** An argument. */
export interface ArgumentNode {
  readonly name: string;
  readonly required: boolean;
  readonly description: string;
  readonly kind: WordKind;
}

/** A command, with those below it. */
export interface CommandNode {
  /** From the program's name on: `spectrum kernel fetch`. */
  readonly words: readonly string[];
  readonly description: string;
  readonly options: readonly OptionNode[];
  readonly arguments: readonly ArgumentNode[];
  readonly commands: readonly CommandNode[];
}

/** What a word is by the name that help gives it: `<file>`, `<dir>`. */
const KINDS: Readonly<Record<string, WordKind>> = {
  name: { of: "vm" },
  image: { of: "image" },
  file: { of: "file" },
  path: { of: "file" },
  kernel: { of: "file" },
  where: { of: "file" },
  dir: { of: "directory" },
  source: { of: "place" },
  destination: { of: "place" },
};

/** The commands of a program as data: what it parses by is what is completed and described. */
export function commandTree(command: Command, above: readonly string[] = []): CommandNode {
  const words = [...above, command.name()];
  const help = command.createHelp();
  return {
    words,
    description: command.description(),
    options: help.visibleOptions(command).map(optionNode),
    arguments: command.registeredArguments.map(argumentNode),
    commands: help.visibleCommands(command).filter((below) => below.name() !== "help")
      .map((below) => commandTree(below, words)),
  };
}

/** A command and all below it, in order. */
export function allCommands(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(allCommands)];
}

function optionNode(option: Option): OptionNode {
  const { short, long, description, required, optional, argChoices, defaultValue } = option;
  const name = /[<[]([^>\]]*)/.exec(option.flags)?.[1] ?? "";
  return {
    flags: [short, long].filter((flag) => flag !== undefined && flag !== null),
    description,
    value: required || optional
      // `--name` names a VM that is to be.
      ? { name, kind: long === "--name" ? { of: "nothing" } : kindOf(name, argChoices) }
      : undefined,
    standard: defaultValue === undefined || defaultValue === false
      ? undefined
      : String(defaultValue),
  };
}

function argumentNode(argument: Argument): ArgumentNode {
  const { required, description, argChoices } = argument;
  return {
    name: argument.name(),
    required,
    description,
    kind: kindOf(argument.name(), argChoices),
  };
}

function kindOf(name: string, choices: readonly string[] | undefined): WordKind {
  if (choices !== undefined) return { choices };
  return KINDS[name.replace(/\[.*/, "")] ?? { of: "nothing" };
}
