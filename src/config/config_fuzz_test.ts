// Whatever is in a file, reading it ends with a configuration or with an error that says where.
import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigError, parseConfig } from "./mod.ts";

const RUNS = Number(Deno.env.get("SPECTRUM_FUZZ_RUNS") ?? 3_000);
const FILE = "/nowhere/fuzz.toml";
const docs = new URL("../../docs/", import.meta.url);

/** The examples of the documentation. */
const examples = [...Deno.readDirSync(docs)].filter(({ isFile }) => isFile).flatMap(({ name }) =>
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

const change = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  /** How much goes, and how much of the text from elsewhere comes instead. */
  removed: fc.oneof(fc.constant(0), fc.nat(30)),
  piece: fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 5, unit: "binary" })),
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  copied: fc.oneof(fc.constant(0), fc.nat(60)),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed(text: string, { at, removed, piece, from, copied }: Change): string {
  const place = Math.floor(at * text.length), source = Math.floor(from * text.length);
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

/** Another value for a key. */
const otherValue = fc.record({ line: fc.nat(20), value: fc.constantFrom(...VALUES) });

function withOtherValue(text: string, { line, value }: { line: number; value: string }): string {
  const lines = text.split("\n");
  const settings = lines.flatMap((text, i) => text.includes("=") ? [i] : []);
  const at = settings[line % settings.length];
  lines[at] = `${lines[at].split("=")[0]}= ${value}`;
  return lines.join("\n");
}

Deno.test("examples that are changed at random are read, or refused with the place", async () => {
  assert.ok(examples.length > 10);
  let isToml = 0;
  const others = fc.array(otherValue, { maxLength: 2 });
  const changes = fc.array(change, { maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...examples),
      others,
      changes,
      async (example, values, list) => {
        const text = list.reduce(changed, values.reduce(withOtherValue, example));
        try {
          await parseConfig(text, FILE);
          isToml++;
        } catch (error) {
          assert.ok(error instanceof ConfigError, `${String(error)} for ${JSON.stringify(text)}`);
          assert.ok(error.message.startsWith(FILE), error.message);
          if (!error.reason.startsWith("this is not TOML")) isToml++;
        }
      },
    ),
    { numRuns: RUNS },
  );
  // Otherwise it would see little but what the parser refuses.
  assert.ok(isToml > RUNS / 20, `${isToml} of ${RUNS} were TOML`);
});
