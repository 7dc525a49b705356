import { toJsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import { statusOf } from "./handle.ts";
import { type AnswerKind, type Route, routes } from "./routes.ts";
import * as schemas from "./schemas.ts";

/** Schemas that the document names. */
const named = {
  Config: schemas.Config,
  Device: schemas.Device,
  Devices: schemas.Devices,
  Event: schemas.Event,
  Info: schemas.Info,
  Outcome: schemas.Outcome,
  Problem: schemas.Problem,
  Queue: schemas.Queue,
  RestartDevice: schemas.RestartDevice,
  Snapshot: schemas.Snapshot,
  State: schemas.State,
  Stop: schemas.Stop,
} as const;

/** The OpenAPI 3.1 document of the control API, from the table that it is served by. */
export function openApi(): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Spectrum control API",
      version: "1",
      description: "Talks to one running VM, over the Unix socket control.sock in its runtime " +
        "directory: curl --unix-socket $XDG_RUNTIME_DIR/spectrum/NAME/control.sock http://localhost/api/v1/vm",
      license: { name: "BSD-3-Clause", identifier: "BSD-3-Clause" },
    },
    servers: [{ url: "http://localhost/api/v1" }],
    paths,
    components: {
      schemas: Object.fromEntries(
        Object.entries(named).map(([name, schema]) => [name, jsonSchema(schema)]),
      ),
    },
  };
}

function operation({ id, summary, path, body, answer, errors }: Route): Record<string, unknown> {
  const codes: schemas.ProblemCode[] = [
    ...(body === undefined ? [] : ["request" as const]),
    ...errors,
    "internal",
  ];
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => (
    { name, in: "path", required: true, schema: { type: "string" } }
  ));
  return {
    operationId: id,
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { content: { "application/json": { schema: reference(body) } } } }),
    responses: {
      200: { description: "OK", content: contentOf(answer) },
      ...Object.fromEntries(codes.map((code) => [statusOf(code), {
        description: "See the message",
        content: { "application/json": { schema: reference(schemas.Problem) } },
      }])),
    },
  };
}

function contentOf(answer: AnswerKind): Record<string, unknown> {
  if ("json" in answer) return { "application/json": { schema: reference(answer.json) } };
  if ("lines" in answer) return { "application/jsonl": { schema: reference(answer.lines) } };
  return { [answer.text]: {} };
}

function reference(schema: GenericSchema): Record<string, unknown> {
  const name = Object.entries(named).find(([, candidate]) => candidate === schema)?.[0];
  if (name === undefined) throw new Error("a schema of the control API has no name");
  return { $ref: `#/components/schemas/${name}` };
}

function jsonSchema(schema: GenericSchema): Record<string, unknown> {
  const { $schema: _, ...rest } = toJsonSchema(schema, {
    target: "draft-2020-12",
    typeMode: "input",
    // What no JSON Schema can say: checks with words of their own.
    errorMode: "ignore",
  });
  return rest;
}
