import assert from "node:assert/strict";
import * as v from "valibot";
import { bytes } from "./bytes.ts";
import { describeMessages, describeSchema } from "./describe.ts";
import { descriptor } from "./descriptor.ts";
import { defineMessages } from "./protocol.ts";

Deno.test("a schema reads as a type", () => {
  const cases: [v.GenericSchema, string][] = [
    [v.null(), "null"],
    [v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(9)), "integer 1–9"],
    [
      v.strictObject({ a: v.optional(descriptor), b: v.array(v.nullable(bytes)) }),
      "{ a?: descriptor, b: [bytes | null, …] }",
    ],
    [
      v.union([v.picklist(["x", "y"]), v.strictObject({ z: v.literal(3) })]),
      '"x" | "y" | { z: 3 }',
    ],
    [v.strictObject({ d: v.pipe(descriptor, v.description("a disk")) }), "{ d: descriptor }"],
  ];
  for (const [schema, text] of cases) assert.equal(describeSchema(schema), text);
});

Deno.test("messages read as a page", () => {
  const messages = defineMessages({
    stop: { doc: "Stops.", body: v.null() },
    add: {
      doc: "Adds.",
      body: v.strictObject({ a: v.number() }),
      answer: v.number(),
      errors: { "too-much": "it is more than there is" },
    },
  });
  assert.equal(
    describeMessages(messages),
    "### `stop`\n\nStops.\n\n- body: `null`\n- not answered\n\n" +
      "### `add`\n\nAdds.\n\n- body: `{ a: number }`\n- answer: `number`\n" +
      "- error `too-much`: it is more than there is",
  );
});
