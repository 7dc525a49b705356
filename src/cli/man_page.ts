import { allCommands, type CommandNode, type OptionNode } from "./command_tree.ts";
import { VERSION } from "./program.ts";

/** The manual page of a program, from the tree of its commands (man(7)). */
export function manPage(program: CommandNode): string {
  return [
    `.TH SPECTRUM 1 "" "spectrum ${VERSION}"`,
    ".SH NAME",
    `spectrum \\- ${escape(program.description)}`,
    ".SH SYNOPSIS",
    ".B spectrum",
    ".RI [ options ] \\ command \\ [ arguments ]",
    ".SH OPTIONS",
    ...program.options.flatMap(option),
    ".SH COMMANDS",
    ...allCommands(program).slice(1).filter(({ commands }) => commands.length === 0).flatMap(
      command,
    ),
    ".SH FILES",
    ".TP",
    ".I $XDG_RUNTIME_DIR/spectrum/NAME/",
    "Of a running VM: control.sock (the control API), console.sock, log, console.log.",
    ".TP",
    ".I ~/.cache/spectrum/",
    "Kernels, and what can be made again.",
    ".SH EXIT STATUS",
    "0 the guest powered off, 1 usage or configuration, 2 this host cannot do it, 3 the guest failed,",
    "4 an internal error.",
  ].join("\n");
}

function command(node: CommandNode): string[] {
  const places = node.arguments.map(({ name, required }) => required ? name : `[${name}]`);
  const words = [...node.words, ...(node.options.length > 0 ? ["[options]"] : []), ...places];
  return [
    `.SS ${escape(words.join(" "))}`,
    escape(node.description),
    ...node.arguments.flatMap((
      { name, description },
    ) => [".TP", `.I ${escape(name)}`, escape(description)]),
    ...node.options.flatMap(option),
  ];
}

function option({ flags, description, value, standard }: OptionNode): string[] {
  const name = value === undefined ? "" : ` \\fI${escape(value.name)}\\fR`;
  const choices = value !== undefined && "choices" in value.kind
    ? ` (${value.kind.choices.join(", ")})`
    : "";
  const usual = standard === undefined ? "" : ` Default: ${standard}.`;
  return [
    ".TP",
    `\\fB${flags.map(escape).join("\\fR, \\fB")}\\fR${name}`,
    escape(description + choices + usual),
  ];
}

/** Text that troff prints as it is. */
function escape(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll(/^(?=[.'])/gm, "\\&");
}
