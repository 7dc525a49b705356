import { allCommands, type CommandNode } from "./command_tree.ts";

/** docs/cli.md: all commands, from the tree of them. */
export function cliPage(program: CommandNode): string {
  return [
    "# Commands",
    "Made by `deno run -A scripts/cli_page.ts` from what the program parses by; " +
    "`spectrum COMMAND --help` shows the same with examples.",
    "Exit status: 0 good, 1 usage or configuration, 2 this host cannot do it, 3 the guest failed, 4 an internal error.",
    "Completions: `spectrum completions bash|zsh|fish`. Manual page: `spectrum man | man -l -`.",
    "## spectrum",
    program.description,
    options(program),
    ...allCommands(program).slice(1).filter(({ commands }) => commands.length === 0)
      .flatMap(section),
  ].filter((part) => part !== "").join("\n\n") + "\n";
}

function section(node: CommandNode): string[] {
  const places = node.arguments.map(({ name, required }) =>
    required ? name.toUpperCase() : `[${name.toUpperCase()}]`
  );
  return [
    `## ${[...node.words, ...places].join(" ")}`,
    `${node.description[0].toUpperCase()}${node.description.slice(1)}.`,
    node.arguments.map(({ name, description }) => `- \`${name.toUpperCase()}\`: ${description}`)
      .join("\n"),
    options(node),
  ];
}

function options({ options }: CommandNode): string {
  const rows = options.filter(({ flags }) => !flags.includes("--help")).map(
    ({ flags, description, value, standard }) => {
      const name = value === undefined ? "" : ` ${value.name.toUpperCase()}`;
      const choices = value !== undefined && "choices" in value.kind
        ? `; one of ${value.kind.choices.join(", ")}`
        : "";
      const usual = standard === undefined ? "" : `; default ${standard}`;
      const cells = [`\`${flags.join(", ")}${name}\``, `${description}${choices}${usual}`];
      return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
    },
  );
  return rows.length === 0 ? "" : ["| option | |", "| --- | --- |", ...rows].join("\n");
}
