import type { SocketStream } from "../../os/mod.ts";
import { type HttpAnswer, HttpError, type HttpRequest, reasons } from "./message.ts";
import { RequestParser } from "./request_parser.ts";

/** How long a client may take, in milliseconds. */
export interface HttpPatience {
  /** From a request's first byte to its last. */
  readonly request: number;
  /** Between two requests. */
  readonly idle: number;
  /** Until it reads on. */
  readonly reading: number;
}

/** Patience with clients that are programs on this machine. */
export const defaultPatience: HttpPatience = { request: 10_000, idle: 60_000, reading: 30_000 };

/** Answers a request; must not throw. The signal says that the client has gone. */
export type HttpHandler = (request: HttpRequest, signal: AbortSignal) => Promise<HttpAnswer>;

/** What a refused client may still send before the connection closes over it. */
const LINGER = { bytes: 2 ** 20, ms: 1000 };

const encoder = new TextEncoder();

/** Serves HTTP/1.1 on a connection until one side has had enough. Requests are answered in turn. */
export async function serveConnection(
  stream: SocketStream,
  handle: HttpHandler,
  patience: HttpPatience = defaultPatience,
): Promise<void> {
  const parser = new RequestParser();
  const abort = new AbortController();
  void stream.gone.then(() => abort.abort());
  let deadline = 0;
  for (;;) {
    if (!parser.begun) deadline = performance.now() + patience.request;
    const left = parser.begun ? deadline - performance.now() : patience.idle;
    const bytes = await stream.read(Math.max(0, left));
    if (bytes === undefined) return;
    if (bytes === "late") {
      if (parser.begun) await refuse(stream, new HttpError(408, "the request came too slowly"));
      return;
    }
    const { requests, error } = parser.feed(bytes);
    for (const request of requests) {
      const answer = await handle(request, abort.signal);
      if (!await send(stream, request, answer, patience.reading) || !request.keepAlive) return;
    }
    if (error !== undefined) return await refuse(stream, error);
    if (parser.takeExpectation()) {
      await stream.write(encoder.encode("HTTP/1.1 100 Continue\r\n\r\n"), patience.reading);
    }
  }
}

/** An error as every answer shows it. */
export function errorBody(code: string, message: string): string {
  return JSON.stringify({ error: { code, message } }) + "\n";
}

async function refuse(stream: SocketStream, { status, message }: HttpError): Promise<void> {
  const body = errorBody("http", message);
  const answer = { status, type: "application/json", body };
  const request = { method: "GET", keepAlive: false, chunks: false };
  if (!await send(stream, request, answer, LINGER.ms)) return;
  // Closing while it still sends would break the connection before it has read why.
  const until = performance.now() + LINGER.ms;
  for (let drained = 0; drained < LINGER.bytes;) {
    const bytes = await stream.read(Math.max(0, until - performance.now()));
    if (bytes === undefined || bytes === "late") return;
    drained += bytes.length;
  }
}

/** Sends an answer; false when there is nobody any more who takes it. */
async function send(
  stream: SocketStream,
  request: Pick<HttpRequest, "method" | "keepAlive" | "chunks">,
  { status, type, headers = {}, body }: HttpAnswer,
  limitMs: number,
): Promise<boolean> {
  const whole = typeof body === "string" ? encoder.encode(body) : undefined;
  const framing: Record<string, string> = whole !== undefined
    ? { "content-length": String(whole.length) }
    : request.chunks
    ? { "transfer-encoding": "chunked" }
    : {};
  const all = {
    "content-type": type,
    "cache-control": "no-store",
    ...headers,
    ...framing,
    connection: request.keepAlive && (whole !== undefined || request.chunks)
      ? "keep-alive"
      : "close",
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const head = encoder.encode(`HTTP/1.1 ${status} ${reasons[status] ?? ""}\r\n${lines}\r\n`);
  if (!await stream.write(head, limitMs)) return false;
  if (request.method === "HEAD") return true;
  if (whole !== undefined) return await stream.write(whole, limitMs);
  for await (const piece of body as AsyncIterable<string>) {
    const bytes = encoder.encode(piece);
    const size = encoder.encode(`${bytes.length.toString(16)}\r\n`);
    const parts = request.chunks ? [size, bytes, encoder.encode("\r\n")] : [bytes];
    for (const part of parts) if (!await stream.write(part, limitMs)) return false;
  }
  return request.chunks && await stream.write(encoder.encode("0\r\n\r\n"), limitMs);
}
