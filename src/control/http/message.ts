/** A request that has arrived as a whole. */
export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly body: Uint8Array;
  /** The client may send another one on this connection. */
  readonly keepAlive: boolean;
  /** The client understands a body in chunks: HTTP/1.1. */
  readonly chunks: boolean;
}

/** What is answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** All of it, or piece by piece for as long as the client listens. */
  readonly body: string | AsyncIterable<string>;
}

/** A request that is no good as HTTP; `status` is the answer. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** The words behind a status (RFC 9110 §15). */
export const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  411: "Length Required",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};
