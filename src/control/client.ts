import { join } from "node:path";
import { type VmState, VmStateError } from "../machine/mod.ts";
import { CONTROL_SOCKET } from "./control_server.ts";
import { ConnectionLostError, ControlError } from "./errors.ts";
import { API_PREFIX } from "./handle.ts";
import type { ProblemCode } from "./schemas.ts";

/** Asks a running VM, over its control socket. */
export class ControlClient implements Disposable {
  readonly #name: string;
  readonly #client: Deno.HttpClient;
  /** Resolves when who listens is heard: what is done after that is among what happens. */
  #listening: Promise<unknown> = Promise.resolve();

  /** @param dir the VM's runtime directory */
  constructor(name: string, dir: string) {
    this.#name = name;
    const path = join(dir, CONTROL_SOCKET);
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  }

  /** What a `GET` answers with. */
  async get<T>(path: string): Promise<T> {
    return await this.#json(await this.#ask("GET", path));
  }

  /** What a `POST` answers with. */
  async post<T>(path: string, body?: unknown): Promise<T> {
    await this.#listening;
    return await this.#json(await this.#ask("POST", path, body));
  }

  /** A `GET` that answers with text. */
  async text(path: string): Promise<string> {
    return await this.#whole(await this.#ask("GET", path));
  }

  /** A `GET` that answers with lines of JSON, without end. It is sent at once, not only when somebody reads. */
  lines<T>(path: string, signal?: AbortSignal): AsyncGenerator<T> {
    const response = this.#ask("GET", path, undefined, signal);
    // An error is told to who reads.
    this.#listening = Promise.allSettled([this.#listening, response]);
    return readLines(response, signal);
  }

  async #ask(
    method: string,
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`http://localhost${API_PREFIX}${path}`, {
        client: this.#client,
        method,
        signal,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      throw new ConnectionLostError(this.#name, { cause: error });
    }
    if (!response.ok) throw await this.#problem(response);
    return response;
  }

  async #problem(response: Response): Promise<Error> {
    const { error: { code, message } } = await this.#json<
      { error: { code: ProblemCode; message: string } }
    >(response);
    if (code !== "state") return new ControlError(code, message);
    const { state } = await this.get<{ state: VmState }>("/vm/state");
    return new VmStateError(state, message);
  }

  async #json<T>(response: Response): Promise<T> {
    return JSON.parse(await this.#whole(response)) as T;
  }

  async #whole(response: Response): Promise<string> {
    try {
      return await response.text();
    } catch (error) {
      throw new ConnectionLostError(this.#name, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

async function* readLines<T>(
  response: Promise<Response>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  let body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  try {
    ({ body } = await response);
  } catch (error) {
    if (signal?.aborted) return;
    throw error;
  }
  if (body === null) return;
  let rest = "";
  try {
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line) as T;
    }
  } catch (error) {
    if (signal?.aborted) return;
    // The end of the monitor is the end of what happens.
    if (!(error instanceof TypeError)) throw error;
  }
}
