import { PeerError } from "./message_errors.ts";

/** What a frame holds: an array that begins with one of these. */
export const Kind = {
  /** `[0, name, body]`: not answered. */
  Note: 0,
  /** `[1, id, name, body]`: answered once, by Answer or Error. */
  Request: 1,
  /** `[2, id, body]` */
  Answer: 2,
  /** `[3, id, code, text]` */
  Error: 3,
  /** `[4, id]`: the answer is not wanted any more; it comes nevertheless, or an error. */
  Cancel: 4,
} as const;

/** A frame's contents, taken apart. Bodies are not looked at yet. */
export type Envelope =
  | { readonly kind: typeof Kind.Note; readonly name: string; readonly body: unknown }
  | {
    readonly kind: typeof Kind.Request;
    readonly id: number;
    readonly name: string;
    readonly body: unknown;
  }
  | { readonly kind: typeof Kind.Answer; readonly id: number; readonly body: unknown }
  | {
    readonly kind: typeof Kind.Error;
    readonly id: number;
    readonly code: string;
    readonly text: string;
  }
  | { readonly kind: typeof Kind.Cancel; readonly id: number };

/** @throws PeerError when it is none */
export function decodeEnvelope(value: unknown): Envelope {
  if (Array.isArray(value)) {
    const [kind, ...rest] = value as unknown[];
    const [first, second, third] = rest;
    if (kind === Kind.Note && rest.length === 2 && typeof first === "string") {
      return { kind, name: first, body: second };
    }
    if (isId(first)) {
      if (kind === Kind.Request && rest.length === 3 && typeof second === "string") {
        return { kind, id: first, name: second, body: third };
      }
      if (kind === Kind.Answer && rest.length === 2) return { kind, id: first, body: second };
      if (kind === Kind.Error && rest.length === 3) {
        if (typeof second === "string" && typeof third === "string") {
          return { kind, id: first, code: second, text: third };
        }
      }
      if (kind === Kind.Cancel && rest.length === 1) return { kind, id: first };
    }
  }
  throw new PeerError("schema", "a message is neither note nor request nor answer");
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}
