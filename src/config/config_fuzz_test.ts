// Whatever is in a file, reading it ends with a configuration or with an error that says where.
import assert from "node:assert/strict";
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { ConfigError, parseConfig } from "./mod.ts";

const FILE = "/nowhere/fuzz.toml";
const docs = new URL("../../docs/", import.meta.url);

/** The examples of the documentation. */
const names = [...Deno.readDirSync(docs)].filter(({ isFile }) => isFile).map(({ name }) => name);
const examples = names.sort().flatMap((name) =>
  [...Deno.readTextFileSync(new URL(name, docs)).matchAll(/```toml\n([^]*?)```/g)]
    .map(([, text]) => text)
);

const PIECES = [
  ...[
    "",
    " ",
    "\n",
    "=",
    '"',
    "'",
    '"""',
    ".",
    ",",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "#",
    "\\",
    "\0",
  ],
  ...["\\u0000", "\\U0010ffff", "\ud800", "é", "=0", "=-1", "=1.5", "=nan", "=inf", "=true"],
  ...['="1G"', '="99999999999999999999T"', "=1979-05-27T07:32:00Z", "=[[1],{a=2}]", '=""'],
  ...['"__proto__"=1\n', "constructor.prototype=1\n", "[a.b.c]\n", "[[disk]]\n", "[wl.sockets]\n"],
  ...[
    "memory",
    "disk",
    "net",
    "kernel",
    "provides",
    "image",
    "limits",
    "9".repeat(400),
    "x.".repeat(300),
  ],
];

/** Takes some of a text away, and puts something else or some of itself there. */
function change(text: string, dice: Dice): string {
  const place = dice.below(text.length + 1), source = dice.below(text.length + 1);
  const removed = dice.once(2) ? dice.below(30) : 0, copied = dice.once(2) ? dice.below(60) : 0;
  const piece = dice.once(2) ? String.fromCharCode(dice.below(0x10000)) : dice.of(PIECES);
  return text.slice(0, place) + piece + text.slice(source, source + copied) +
    text.slice(place + removed);
}

/** Values that are TOML, each somewhere right and mostly wrong. */
const VALUES = [
  ...["0", "-1", "1.5", "nan", "-inf", "true", '""', '"1G"', '"99999999999999999999T"', '"vm:x"'],
  ...[
    "[]",
    "[[1], {a = 2}]",
    "{}",
    '{__proto__ = "x"}',
    "1979-05-27T07:32:00Z",
    '"\\u0000"',
    '"auto"',
  ],
  ...["4294967296", "0x7fffffff", '"../../x"', '["8080:80", "x"]', '"small:debug"', '"debian"'],
];

/** Gives a key another value. */
function setValue(text: string, dice: Dice): string {
  const lines = text.split("\n");
  const settings = lines.flatMap((text, i) => text.includes("=") ? [i] : []);
  if (settings.length === 0) return text;
  const at = dice.of(settings);
  lines[at] = `${lines[at].split("=")[0]}= ${dice.of(VALUES)}`;
  return lines.join("\n");
}

let files = 0;
/** How many of them were TOML. */
let areToml = 0;

/** Some lines of two texts, in their order. */
function mix(one: string, other: string, dice: Dice): string {
  return [one, other].flatMap((text) => text.split("\n").filter(() => !dice.once(6))).join("\n");
}

async function parse(dice: Dice): Promise<void> {
  files++;
  let text = dice.of(examples);
  // What is right alone may be wrong together.
  if (dice.once(2)) text = mix(text, dice.of(examples), dice);
  for (let i = dice.below(3); i > 0; i--) text = setValue(text, dice);
  // Mostly none: otherwise it would see little but what the parser of TOML refuses.
  if (!dice.once(2)) { for (let i = dice.below(3); i > 0; i--) text = change(text, dice); }
  try {
    await parseConfig(text, FILE);
    areToml++;
  } catch (error) {
    assert.ok(error instanceof ConfigError, `${String(error)} for ${JSON.stringify(text)}`);
    assert.ok(error.message.startsWith(FILE), error.message);
    if (!error.reason.startsWith("this is not TOML")) areToml++;
  }
}

fuzzTest({
  name: "config",
  promise: "examples that are changed at random are read, or refused with the place",
  async play(dice) {
    const before = files;
    while (!dice.isOver) await parse(dice);
    return files - before;
  },
  reached() {
    assert.ok(examples.length > 10);
    // Otherwise they saw little but what the parser refuses.
    assert.ok(areToml > files / 20, `${areToml} of ${files} were TOML`);
  },
  turns: 5000,
  tapeLength: 2 ** 8,
});
