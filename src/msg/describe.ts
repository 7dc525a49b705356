import { descriptor } from "./descriptor.ts";
import type { Messages, Schema } from "./protocol.ts";

/** What is looked at of a schema; which parts it has depends on its type. */
interface Parts {
  readonly type: string;
  readonly pipe?: readonly Parts[];
  readonly requirement?: unknown;
  readonly entries?: Readonly<Record<string, Parts>>;
  readonly options?: readonly (Parts | string)[];
  readonly wrapped?: Parts;
  readonly item?: Parts;
  readonly literal?: unknown;
  readonly class?: { readonly name: string };
}

/** The messages as a page of Markdown: what the declaration says, for people. */
export function describeMessages(messages: Messages): string {
  return Object.entries(messages).map(([name, { doc, body, answer, errors }]) => {
    const lines = [`### \`${name}\``, "", doc, "", `- body: \`${describeSchema(body)}\``];
    lines.push(
      answer === undefined ? "- not answered" : `- answer: \`${describeSchema(answer)}\``,
    );
    for (const [code, text] of Object.entries(errors ?? {})) {
      lines.push(`- error \`${code}\`: ${text}`);
    }
    return lines.join("\n");
  }).join("\n\n");
}

/** A schema as a type, in one line. */
export function describeSchema(schema: Schema): string {
  return describe(schema as unknown as Parts);
}

function describe(schema: Parts): string {
  const first = schema.pipe?.[0] ?? schema;
  if (first === descriptor as unknown as Parts) return "descriptor";
  switch (schema.type) {
    case "strict_object":
      return describeEntries(schema.entries ?? {});
    case "variant":
    case "union":
    case "picklist":
      return (schema.options ?? []).map((option) =>
        typeof option === "string" ? JSON.stringify(option) : describe(option)
      ).join(" | ");
    case "literal":
      return JSON.stringify(schema.literal);
    case "array":
      return `[${schema.item === undefined ? "" : describe(schema.item)}, …]`;
    case "optional":
    case "nullable":
      return schema.wrapped === undefined
        ? ""
        : describe(schema.wrapped) + (schema.type === "nullable" ? " | null" : "");
    case "instance":
      return schema.class?.name === "Uint8Array" ? "bytes" : schema.class?.name ?? "object";
    case "number":
      return describeNumber(schema.pipe ?? []);
    default:
      return schema.type;
  }
}

function describeEntries(entries: Readonly<Record<string, Parts>>): string {
  const fields = Object.entries(entries).map(([key, value]) =>
    `${key}${value.type === "optional" ? "?" : ""}: ${describe(value)}`
  );
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function describeNumber(pipe: readonly Parts[]): string {
  const bound = (type: string) => pipe.find((action) => action.type === type)?.requirement;
  const least = bound("min_value"), most = bound("max_value");
  const noun = pipe.some(({ type }) => type === "integer") ? "integer" : "number";
  return least === undefined && most === undefined ? noun : `${noun} ${least ?? ""}–${most ?? ""}`;
}
