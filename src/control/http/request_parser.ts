import { HTTPParser } from "http-parser-js";
import { HttpError, type HttpRequest } from "./message.ts";

/** Limits of a request, in bytes. */
export const MAX_HEADER = 16384;
export const MAX_BODY = 65536;

/** The part of the parser's surface that is used; its own types speak of Node's buffers. */
interface Parser {
  maxHeaderSize: number;
  onHeadersComplete(info: HeaderInfo): void;
  onBody(bytes: Uint8Array): void;
  onMessageComplete(): void;
  execute(chunk: Chunk): number | Error;
}

interface HeaderInfo {
  readonly method: string;
  readonly url: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly versionMajor: number;
  readonly versionMinor: number;
  readonly upgrade: boolean;
  readonly shouldKeepAlive: boolean;
}

/** Bytes with the one method of Node's buffers that the parser calls. */
class Chunk extends Uint8Array {
  override toString(_encoding = "latin1", start = 0, end = this.length): string {
    return decoder.decode(this.subarray(start, end));
  }
}

const decoder = new TextDecoder("latin1");

/** Makes requests of what a client sends. Bodies need a Content-Length: chunked ones are refused. */
export class RequestParser {
  readonly #parser = new HTTPParser(HTTPParser.REQUEST) as unknown as Parser;
  #complete: HttpRequest[] = [];
  #head: Omit<HttpRequest, "body"> | undefined;
  #body: Uint8Array[] = [];
  #bodySize = 0;
  #expectsContinue = false;
  #fed = 0;

  constructor() {
    this.#parser.maxHeaderSize = MAX_HEADER;
    this.#parser.onHeadersComplete = (info) => this.#begin(info);
    this.#parser.onBody = (bytes) => void this.#body.push(bytes);
    this.#parser.onMessageComplete = () => this.#end();
  }

  /** A request has begun and is not complete. */
  get begun(): boolean {
    return this.#fed > 0;
  }

  /** A client waits for a word before it sends its body (RFC 9110 §10.1.1); told once. */
  takeExpectation(): boolean {
    const expects = this.#expectsContinue && this.#head !== undefined;
    this.#expectsContinue = false;
    return expects;
  }

  /** Takes bytes; gives the requests that they complete, and what is wrong with the next, after which all is over. */
  feed(bytes: Uint8Array): { requests: HttpRequest[]; error?: HttpError } {
    this.#fed += bytes.length;
    let error: HttpError | undefined;
    try {
      const result = this.#parser.execute(new Chunk(bytes));
      if (result instanceof Error) {
        error = /max header size/.test(result.message)
          ? new HttpError(431, `the header is longer than ${MAX_HEADER} bytes`)
          : new HttpError(400, `this is not HTTP: ${result.message}`);
      }
    } catch (thrown) {
      if (!(thrown instanceof HttpError)) throw thrown;
      error = thrown;
    }
    const requests = this.#complete;
    this.#complete = [];
    return { requests, error };
  }

  #begin(info: HeaderInfo): void {
    const { method, url, versionMajor, versionMinor } = info;
    if (versionMajor !== 1) throw new HttpError(400, "only HTTP/1.0 and 1.1 are spoken here");
    if (!HTTPParser.methods.includes(method)) throw new HttpError(400, "there is no such method");
    if (info.upgrade) throw new HttpError(400, "this server does not change the protocol");
    const length = lengthOf(info.headers);
    if (length > MAX_BODY) throw new HttpError(413, `a body has at most ${MAX_BODY} bytes`);
    // A client that takes us for a proxy names the host, too (RFC 9112 §3.2.2).
    const path = url.replace(/^http:\/\/[^/?]*/, "").split("?", 1)[0];
    if (!path.startsWith("/")) throw new HttpError(400, "a path is expected, which starts with /");
    this.#bodySize = length;
    this.#expectsContinue = headerOf(info.headers, "expect")?.toLowerCase() === "100-continue";
    this.#head = {
      method,
      path,
      keepAlive: info.shouldKeepAlive,
      chunks: versionMinor >= 1,
    };
  }

  #end(): void {
    const head = this.#head;
    if (head === undefined) return;
    const body = new Uint8Array(this.#bodySize);
    let at = 0;
    for (const piece of this.#body) {
      body.set(piece, at);
      at += piece.length;
    }
    this.#complete.push({ ...head, body });
    this.#head = undefined;
    this.#body = [];
    this.#fed = 0;
  }
}

function headerOf(headers: readonly string[], wanted: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i].toLowerCase() === wanted) return headers[i + 1];
  }
}

/** The length of a body. The parser takes anything for a number, so it sees only what has passed here. */
function lengthOf(headers: readonly string[]): number {
  if (headerOf(headers, "transfer-encoding") !== undefined) {
    throw new HttpError(411, "a body needs a Content-Length; chunks are not taken");
  }
  const text = headerOf(headers, "content-length") ?? "0";
  if (!/^\d{1,15}$/.test(text)) throw new HttpError(400, "Content-Length is no number");
  return Number(text);
}
