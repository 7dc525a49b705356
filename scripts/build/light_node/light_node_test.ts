import assert from "node:assert/strict";
import nodePath from "node:path";
import nodeUtil from "node:util";
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import * as crypto from "./crypto.ts";
import { EventEmitter } from "./events.ts";
import fs from "./fs.ts";
import { lighten } from "./mod.ts";
import * as path from "./path.ts";
import { stripVTControlCharacters } from "./util.ts";

const paths = fc.array(fc.constantFrom("/", "//", ".", "..", "a", "b.c", ".d", "e.")).map((parts) =>
  parts.join("")
);
const slashed = fc.array(fc.constantFrom("a", "..", ".", "b.c", "", "/x")).map((parts) =>
  parts.join("/")
);
const any = fc.oneof(paths, slashed);

Deno.test("paths are what Node makes of them", () => {
  const one = ["normalize", "dirname", "basename", "extname", "isAbsolute"] as const;
  fc.assert(
    fc.property(any, any, any, (a, b, c) => {
      for (const name of one) assert.equal(path[name](a), nodePath.posix[name](a), `${name} ${a}`);
      // Node hands a path of nothing but slashes back when it is told a suffix.
      if (/[^/]/.test(a)) {
        assert.equal(path.basename(a, ".c"), nodePath.posix.basename(a, ".c"), `basename ${a} .c`);
      }
      assert.equal(path.join(a, b, c), nodePath.posix.join(a, b, c));
      assert.equal(path.resolve(a, b, c), nodePath.posix.resolve(a, b, c));
      assert.equal(path.relative(a, b), nodePath.posix.relative(a, b));
    }),
    { numRuns: 3000 },
  );
});

Deno.test("control sequences are removed as Node removes them", () => {
  for (
    const text of [
      "plain",
      "\x1b[1mbold\x1b[0m",
      "\x1b]8;;http://x\x07link\x1b]8;;\x07",
      "\x1b[38;5;12mx",
    ]
  ) {
    assert.equal(stripVTControlCharacters(text), nodeUtil.stripVTControlCharacters(text));
  }
});

Deno.test("the rest comes from Node when it is called", () => {
  const hash = (create: typeof createHash) => create("sha256").update("x").digest("hex");
  assert.equal(hash(crypto.createHash), hash(createHash));
  assert.equal(fs.existsSync("/"), true);
});

Deno.test("events reach their listeners in order", () => {
  const emitter = new EventEmitter();
  const seen: unknown[] = [];
  emitter.on("a", (x) => seen.push(1, x)).on("a", () => seen.push(2));
  assert.equal(emitter.emit("a", "x"), true);
  assert.equal(emitter.emit("b"), false);
  assert.equal(emitter.listenerCount("a"), 2);
  assert.deepEqual(seen, [1, "x", 2]);
});

Deno.test("imports are replaced, other text is not", () => {
  const light = lighten(
    `import { join as j } from "node:path";\nimport dns from "node:dns";\nf('"node:path";')\n`,
  );
  assert.match(light, /^import \{ join as j \} from "\/.*\/path\.ts";\n/);
  assert.match(light, /^f\('"node:path";'\)$/m);
  assert.match(light, /^import dns from "node:dns";$/m);
});
