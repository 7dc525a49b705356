import * as v from "valibot";
import { PeerError, SendError } from "./message_errors.ts";

/** The schema of a message's contents. */
export type Schema = v.GenericSchema;

/**
 * One type of message, declared once: its TypeScript types, its validation and its documentation come from here.
 */
export interface MessageType<
  Body extends Schema = Schema,
  Answer extends Schema | undefined = Schema | undefined,
  Code extends string = string,
> {
  /** One sentence: what it asks for. */
  readonly doc: string;
  readonly body: Body;
  /** What answers it. A message without is not answered. */
  readonly answer?: Answer;
  /** The errors that it may be answered with: code, and what that means. */
  readonly errors?: Readonly<Record<Code, string>>;
}

/** The messages that one end serves, by name. */
export type Messages = Readonly<Record<string, MessageType>>;

/** Names of those that are answered. */
export type RequestName<M extends Messages> =
  & {
    [K in keyof M]: M[K] extends { readonly answer: Schema } ? K : never;
  }[keyof M]
  & string;

/** Names of those that are not. */
export type NoteName<M extends Messages> = Exclude<keyof M & string, RequestName<M>>;

/** A body as it is sent. */
export type SentBody<M extends Messages, K extends keyof M> = v.InferInput<M[K]["body"]>;

/** A body as it is received. */
export type ReceivedBody<M extends Messages, K extends keyof M> = v.InferOutput<M[K]["body"]>;

/** An answer as it is sent; nothing for a message without. */
export type SentAnswer<M extends Messages, K extends keyof M> = M[K] extends
  { readonly answer: infer A extends Schema } ? v.InferInput<A> : void;

/** An answer as it is received. */
export type ReceivedAnswer<M extends Messages, K extends keyof M> = M[K] extends
  { readonly answer: infer A extends Schema } ? v.InferOutput<A> : void;

/**
 * Declares the messages that one end serves.
 *
 * @example
 * ```ts
 * import * as v from "valibot";
 * import { defineMessages, descriptor } from "./mod.ts";
 *
 * const disk = defineMessages({
 *   open: {
 *     doc: "Opens a file read-only.",
 *     body: v.strictObject({ path: v.string() }),
 *     answer: v.strictObject({ file: descriptor }),
 *     errors: { "not-found": "there is no such file" },
 *   },
 * });
 * ```
 */
export function defineMessages<const M extends Messages>(messages: M): M {
  return messages;
}

/** @throws SendError when a value is not what the schema says */
export function checkSent(schema: Schema, value: unknown, what: string): unknown {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const isDescriptor = result.issues.some((issue) => issue.type === "custom");
  const reason = isDescriptor ? "descriptor" : "invalid";
  throw new SendError(reason, `Cannot send ${what}: ${describeIssue(result.issues[0])}`);
}

/** @throws PeerError when a value is not what the schema says */
export function checkReceived(schema: Schema, value: unknown, what: string): unknown {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  throw new PeerError("schema", `${what}: ${describeIssue(result.issues[0])}`);
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  return path === null ? issue.message : `${path}: ${issue.message}`;
}
