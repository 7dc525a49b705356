import { allCommands, type CommandNode, type OptionNode, type WordKind } from "./command_tree.ts";

/** Scripts for each shell, from the tree of commands. Names of VMs and images are asked for when they are wanted. */
export const completionScript = { bash, zsh, fish } as const;

const VM_NAMES = "spectrum ps --quiet 2>/dev/null";
const VM_PLACES = `${VM_NAMES} | sed s/$/:/`;
const IMAGE_NAMES = "spectrum image list --quiet 2>/dev/null";

/** The words behind the program's name: `kernel fetch`. */
const keyOf = ({ words }: CommandNode) => words.slice(1).join(" ");

function bash(program: CommandNode): string {
  const commands = allCommands(program);
  const cases = (of: (node: CommandNode) => string) =>
    commands.map((node) => `    ${quote(keyOf(node))}) ${of(node)} ;;`).join("\n");
  const values = commands.flatMap((node) =>
    node.options.filter(({ value }) => value !== undefined).flatMap((option) =>
      option.flags.map((flag) =>
        `    ${quote(`${keyOf(node)}:${flag}`)}) ${bashAction(option.value?.kind)}; return ;;`
      )
    )
  );
  const places = commands.flatMap((node) =>
    node.arguments.map(({ kind }, i) =>
      `    ${quote(`${keyOf(node)}:${i}`)}) ${bashAction(kind)} ;;`
    )
  );
  return `# bash completion of spectrum, made by: spectrum completions bash
_spectrum() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path= place=0 i word below
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$path:$word" in
${withValues(commands).map((key) => `      ${quote(key)}) ((i++)); continue ;;`).join("\n")}
    esac
    [[ $word == -* ]] && continue
    below="$path\${path:+ }$word"
    case "$below" in
      ${commands.slice(1).map((node) => quote(keyOf(node))).join("|")}) path=$below ;;
      *) ((place++)) ;;
    esac
  done
  case "$path:$prev" in
${values.join("\n")}
  esac
  if [[ $cur == -* ]]; then
    case "$path" in
${cases((node) => bashWords(node.options.flatMap(({ flags }) => flags)))}
    esac
    return
  fi
  case "$path" in
${
    cases((node) =>
      node.commands.length === 0
        ? ":"
        : bashWords(node.commands.map(({ words }) => words[words.length - 1]))
    )
  }
  esac
  case "$path:$place" in
${places.join("\n")}
  esac
}
complete -F _spectrum spectrum`;
}

/** Options that take the next word. */
function withValues(commands: readonly CommandNode[]): string[] {
  return commands.flatMap((node) =>
    node.options.filter(({ value }) => value !== undefined)
      .flatMap(({ flags }) => flags.map((flag) => `${keyOf(node)}:${flag}`))
  );
}

function bashWords(words: readonly string[]): string {
  return `COMPREPLY=($(compgen -W ${quote(words.join(" "))} -- "$cur"))`;
}

function bashAction(kind: WordKind | undefined): string {
  if (kind === undefined) return ":";
  if ("choices" in kind) return bashWords(kind.choices);
  switch (kind.of) {
    case "vm":
      return `COMPREPLY=($(compgen -W "$(${VM_NAMES})" -- "$cur"))`;
    case "place":
      // A path of ours, or NAME: of a VM, behind which nothing can be offered.
      return 'compopt -o filenames -o nospace 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur") ' +
        `$(compgen -W "$(${VM_PLACES})" -- "$cur"))`;
    case "image":
      return `COMPREPLY=($(compgen -W "$(${IMAGE_NAMES})" -- "$cur"))`;
    case "file":
      return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))';
    case "directory":
      return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur"))';
    case "nothing":
      return ":";
  }
}

function zsh(program: CommandNode): string {
  return `#compdef spectrum
# zsh completion of spectrum, made by: spectrum completions zsh
_spectrum_vms() { local -a names; names=(\${(f)"$(${VM_NAMES})"}); compadd -a names }
_spectrum_places() { local -a names; names=(\${(f)"$(${VM_NAMES})"}); compadd -S : -a names; _files }
_spectrum_images() { local -a names; names=(\${(f)"$(${IMAGE_NAMES})"}); compadd -a names }
${allCommands(program).map(zshFunction).join("\n")}
_spectrum "$@"`;
}

const zshName = ({ words }: CommandNode) => `_${words.join("_")}`;

function zshFunction(node: CommandNode): string {
  const options = node.options.flatMap((option) =>
    option.flags.map((flag) => quote(`${flag}[${bare(option.description)}]${zshValue(option)}`))
  );
  const places = node.commands.length > 0
    ? ["'1:command:->command'", "'*::argument:->argument'"]
    : node.arguments.map(({ name, kind }, i) => quote(`${i + 1}:${name}:${zshAction(kind)}`));
  const words = node.commands.map(({ words, description }) =>
    quote(`${words[words.length - 1]}:${description}`)
  );
  const below = node.commands.length === 0 ? "" : `
  case $state in
    command) local -a commands; commands=(${words.join(" ")}); _describe command commands ;;
    argument) case $words[1] in
${
    node.commands.map((below) =>
      `      ${below.words[below.words.length - 1]}) ${zshName(below)} ;;`
    ).join("\n")
  }
    esac ;;
  esac`;
  return `${zshName(node)}() {
  local state; local -a words_
  _arguments -C ${[...options, ...places].join(" ")}${below}
}`;
}

function zshValue({ value }: OptionNode): string {
  return value === undefined ? "" : `:${bare(value.name)}:${zshAction(value.kind)}`;
}

function zshAction(kind: WordKind): string {
  if ("choices" in kind) return `(${kind.choices.join(" ")})`;
  return {
    vm: "_spectrum_vms",
    image: "_spectrum_images",
    place: "_spectrum_places",
    file: "_files",
    directory: "_files -/",
    nothing: " ",
  }[kind.of];
}

/** Without what the specification of an argument gives a meaning. */
const bare = (text: string) => text.replace(/[[\]:]/g, " ");

function fish(program: CommandNode): string {
  const lines = allCommands(program).flatMap((node) => {
    const seen = node.words.slice(1);
    const condition = seen.length === 0
      ? "__fish_use_subcommand"
      : seen.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    const when = `complete -c spectrum -n ${quote(condition)}`;
    return [
      ...node.commands.map(({ words, description }) =>
        `${when} -f -a ${words[words.length - 1]} -d ${quote(description)}`
      ),
      ...node.options.map((option) => `${when} ${fishOption(option)}`),
      ...node.arguments.map(({ kind }) => `${when} ${fishAction(kind)}`),
    ];
  });
  return `# fish completion of spectrum, made by: spectrum completions fish\n${lines.join("\n")}`;
}

function fishOption({ flags, description, value }: OptionNode): string {
  const names = flags.map((flag) =>
    flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`
  );
  const taken = value === undefined ? "-f" : `-r ${fishAction(value.kind)}`;
  return `${names.join(" ")} ${taken} -d ${quote(description)}`;
}

function fishAction(kind: WordKind): string {
  if ("choices" in kind) return `-f -a ${quote(kind.choices.join(" "))}`;
  return {
    vm: `-f -a ${quote(`(${VM_NAMES})`)}`,
    place: `-F -a ${quote(`(${VM_PLACES})`)}`,
    image: `-f -a ${quote(`(${IMAGE_NAMES})`)}`,
    file: "-F",
    directory: `-f -a ${quote("(__fish_complete_directories)")}`,
    nothing: "-f",
  }[kind.of];
}

/** A word as all three shells take it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
