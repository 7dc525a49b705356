import assert from "node:assert/strict";
import { Log } from "../machine/mod.ts";
import { allCommands, type CommandNode, commandTree } from "./command_tree.ts";
import { cliPage } from "./cli_page.ts";
import { completionScript } from "./completion_scripts.ts";
import { manPage } from "./man_page.ts";
import { createProgram } from "./program.ts";

const logOptions = () => ({ format: "text", level: "error" } as const);
const program = () =>
  createProgram({ log: () => new Log(logOptions()), logOptions, exitWith: () => {} });
const tree = () => commandTree(program());

Deno.test("every command has an example in its help, and every option and argument a word", () => {
  for (const node of allCommands(tree())) {
    for (const { description } of [...node.options, ...node.arguments, node]) {
      assert.notEqual(description, "", node.words.join(" "));
    }
  }
  const helps = new Map<string, string>();
  const visit = (command: ReturnType<typeof program>, words: string) => {
    let text = "";
    command.configureOutput({ writeOut: (more) => text += more }).outputHelp();
    helps.set(words, text);
    for (const below of command.commands) visit(below as never, `${words} ${below.name()}`);
  };
  visit(program() as never, "spectrum");
  for (const { words } of allCommands(tree()).slice(1)) {
    // The kinds of devices share the example of their command.
    const name = words.slice(0, words[1] === "device" ? 2 : undefined).join(" ");
    assert.match(helps.get(name) ?? "", /Examples?(:|, with)[^]*spectrum /, name);
  }
});

Deno.test("docs/cli.md is what the commands say", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/cli.md", import.meta.url));
  const made = await formatted(cliPage(tree()));
  assert.equal(page, made, "run: deno run -A scripts/cli_page.ts");
});

async function formatted(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "--line-width", "100", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  return new TextDecoder().decode((await child.output()).stdout);
}

Deno.test("the manual page names every command and option", async () => {
  const page = manPage(tree());
  const plain = page.replaceAll("\\-", "-");
  for (const node of allCommands(tree()).filter(({ commands }) => commands.length === 0)) {
    assert.ok(plain.includes(`.SS ${node.words.join(" ")}`), node.words.join(" "));
    for (const { flags } of node.options) for (const flag of flags) assert.ok(plain.includes(flag));
  }
  const groff = await output("groff", ["-man", "-Tutf8", "-ww", "-z"], page);
  if (groff !== undefined) assert.deepEqual(groff, { code: 0, stdout: "", stderr: "" });
});

/** What a program makes of an input; undefined where it is not installed. */
async function output(command: string, args: readonly string[], input: string, path?: string) {
  try {
    const child = new Deno.Command(command, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      ...(path === undefined ? {} : { env: { PATH: `${path}:${Deno.env.get("PATH")}` } }),
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A folder with a `spectrum` that knows two VMs. */
async function withFake<T>(act: (path: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/spectrum`,
      '#!/bin/sh\n[ "$*" = "ps --quiet" ] && printf "app\\nbuild\\n"\n' +
        '[ "$*" = "image list --quiet" ] && printf "web\\ndb\\n"\n',
      { mode: 0o755 },
    );
    return await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("bash completes commands, options, their values, names of VMs and of images", async () => {
  const cases: [line: string, expected: readonly string[]][] = [
    ["spectrum p", ["ps", "pause"]],
    ["spectrum kernel ", ["fetch", "build", "list"]],
    ["spectrum kernel build --profile d", ["device", "debug"]],
    ["spectrum pause ", ["app", "build"]],
    ["spectrum stop --grace 5 a", ["app"]],
    ["spectrum stop --gr", ["--grace"]],
    ["spectrum --log-format ", ["text", "json"]],
    ["spectrum --log-format json ps --q", ["--quiet"]],
    ["spectrum completions ", ["bash", "zsh", "fish"]],
    ["spectrum device blk --cache n", ["none"]],
    ["spectrum logs -f ", ["app", "build"]],
    ["spectrum run /usr/include/stdi", ["/usr/include/stdint.h", "/usr/include/stdio.h"]],
    ["spectrum pause app x", []],
    ["spectrum image rm ", ["web", "db"]],
    ["spectrum run --image w", ["web"]],
    ["spectrum image reset a", ["app"]],
  ];
  await withFake(async (path) => {
    for (const [line, expected] of cases) {
      const words = line.split(" ");
      const script = `${completionScript.bash(tree())}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
_spectrum; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const result = await output("bash", ["-s"], script, path);
      assert.equal(result?.code, 0, result?.stderr);
      const found = result?.stdout.split("\n").filter((word) => word !== "") ?? [];
      for (const word of expected) assert.ok(found.includes(word), `${line}: ${found}`);
      if (!line.includes("/usr/include")) assert.equal(found.length, expected.length, line);
    }
  });
});

for (const shell of ["zsh", "fish"] as const) {
  Deno.test(`the script for ${shell} names every command, and ${shell} takes it`, async () => {
    const script = completionScript[shell](tree());
    const leaves = (
      node: CommandNode,
    ): string[] => [node.words.at(-1) ?? "", ...node.commands.flatMap(leaves)];
    for (const name of leaves(tree())) assert.ok(script.includes(name), name);
    const result = await output(shell, ["-n"], script);
    if (result !== undefined) assert.deepEqual([result.code, result.stderr], [0, ""]);
  });
}
