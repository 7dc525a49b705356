import * as v from "valibot";
import type { VmControl } from "../machine/mod.ts";
import { errorBody, type HttpAnswer, type HttpRequest } from "./http/mod.ts";
import { problemCode, type Route, routes } from "./routes.ts";
import type { ProblemCode } from "./schemas.ts";

/** Where the control API is found; a later, incompatible one would be beside it. */
export const API_PREFIX = "/api/v1";

const JSON_TYPE = "application/json";

const STATUS: Readonly<Record<ProblemCode, number>> = {
  http: 400,
  request: 400,
  usage: 400,
  "not-found": 404,
  state: 409,
  host: 500,
  internal: 500,
};

/** The HTTP status that a class of errors is answered with. */
export function statusOf(code: ProblemCode): number {
  return STATUS[code];
}

/** Answers one request of the control API. Does not throw. */
export async function handle(
  vm: VmControl,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const method = request.method === "HEAD" ? "GET" : request.method;
  const matches = routes.flatMap((route) => {
    const params = matchPath(API_PREFIX + route.path, request.path);
    return params === undefined ? [] : [{ route, params }];
  });
  const match = matches.find(({ route }) => route.method === method);
  if (match === undefined) {
    if (matches.length === 0) {
      const hint = `See ${API_PREFIX}/openapi.json.`;
      return problem("not-found", `There is nothing at this path. ${hint}`);
    }
    const allow = matches.map(({ route }) => route.method).join(", ");
    return {
      ...problem("http", `${request.method} is not possible here, only ${allow}.`),
      status: 405,
      headers: { allow },
    };
  }
  const { route, params } = match;
  const body = readBody(route, request.body);
  if ("refusal" in body) return problem("request", body.refusal);
  // Only the head is sent: what nobody reads would be listened to as long as the connection lasts.
  if (request.method === "HEAD" && "lines" in route.answer) {
    return answer(route, ReadableStream.from([]));
  }
  try {
    return await answer(route, await route.run({ vm, params, body: body.value, signal }));
  } catch (error) {
    return problem(problemCode(error), error instanceof Error ? error.message : String(error));
  }
}

function answer({ answer }: Route, value: unknown): HttpAnswer {
  const status = 200;
  if ("text" in answer) return { status, type: answer.text, body: String(value) };
  if ("json" in answer) return { status, type: JSON_TYPE, body: JSON.stringify(value) + "\n" };
  return { status, type: "application/jsonl", body: lines(value as AsyncIterable<unknown>) };
}

async function* lines(values: AsyncIterable<unknown>): AsyncIterable<string> {
  for await (const value of values) yield JSON.stringify(value) + "\n";
}

function readBody(
  { body: schema }: Route,
  bytes: Uint8Array,
): { readonly value: unknown } | { readonly refusal: string } {
  if (schema === undefined) {
    return bytes.length === 0 ? { value: undefined } : { refusal: "No body is expected here." };
  }
  let value: unknown = {};
  if (bytes.length > 0) {
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      return { refusal: "The body is not JSON." };
    }
  }
  // To the library an array is an object, too.
  if (Array.isArray(value)) return { refusal: "The body cannot be used: an object is expected." };
  const result = v.safeParse(schema, value);
  if (result.success) return { value: result.output };
  const [issue] = result.issues;
  const key = issue.path?.map(({ key }) => String(key)).join(".") ?? "";
  const unknown = issue.type === "strict_object" && issue.expected === "never";
  const reason = unknown ? "there is no such key" : issue.message;
  return { refusal: `The body cannot be used: ${key === "" ? "" : `${key}: `}${reason}.` };
}

function problem(code: ProblemCode, message: string): HttpAnswer {
  return { status: STATUS[code], type: JSON_TYPE, body: errorBody(code, message) };
}

/** The parameters of a path that has the form of a pattern. */
function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const [, name] = /^\{(\w+)\}$/.exec(part) ?? [];
    if (name === undefined) {
      if (part !== given[i]) return undefined;
    } else {
      try {
        params[name] = decodeURIComponent(given[i]);
      } catch {
        return undefined;
      }
    }
  }
  return params;
}
