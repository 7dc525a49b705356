import { basename, join } from "node:path";
import { AgentError, AgentProtocolError } from "./agent_error.ts";
import type { AgentConnection } from "./connection.ts";
import { FrameType, MAX_DEPTH } from "./protocol.ts";
import { encodeEntry, encodeLink, PERMISSIONS } from "./tree_entry.ts";

const CHUNK = 65_536;

/**
 * How files are copied.
 *
 * @example
 * ```ts
 * const options: GuestCopyOptions = { user: "www-data", onSkip: (path) => console.warn(path) };
 * ```
 */
export interface GuestCopyOptions {
  /** As whom the guest's side is read and written: `USER` or `USER:GROUP`; by default the agent's own, root. */
  readonly user?: string;
  /** Is told of what is neither file, folder nor symbolic link, and is left out. */
  readonly onSkip?: (path: string) => void;
}

/** What is copied to a guest: a path here, or bytes that become one file. */
export type CopySource = string | ReadableStream<Uint8Array>;

/**
 * Copies a file or a folder with all that is in it into a guest.
 *
 * @param connection becomes the copy's
 * @param destination path in the guest; a folder that is there takes the copy in
 * @throws {AgentError} when the guest cannot take it
 */
export async function copyToGuest(
  connection: AgentConnection,
  source: CopySource,
  destination: string,
  { user, onSkip = () => {} }: GuestCopyOptions = {},
): Promise<void> {
  using opened = connection;
  const sender = new TreeSender(opened, onSkip);
  await opened.sendText(FrameType.Argument, destination);
  if (user !== undefined) await opened.sendText(FrameType.User, user);
  await opened.send(FrameType.Store);
  // It may fail at any time, and says why before it goes.
  const answer = opened.next();
  answer.catch(() => sender.stop());
  try {
    if (typeof source === "string") await sender.root(source);
    else await sender.stream(source);
  } catch (error) {
    if (!sender.stopped && !(error instanceof AgentError)) throw error;
  }
  const { type } = await answer;
  if (type !== FrameType.Done) throw new AgentProtocolError(`it answered a copy with ${type}`);
}

class TreeSender {
  readonly #connection: AgentConnection;
  readonly #onSkip: (path: string) => void;
  #stopped = false;

  constructor(connection: AgentConnection, onSkip: (path: string) => void) {
    this.#connection = connection;
    this.#onSkip = onSkip;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** What the user named: a link there stands for what it leads to. */
  async root(path: string): Promise<void> {
    await this.#entry(path, basename(await Deno.realPath(path)), await Deno.stat(path), 0);
  }

  async stream(bytes: ReadableStream<Uint8Array>): Promise<void> {
    const entry = { name: "stdin", mode: 0o644, modified: new Date() };
    await this.#send(FrameType.Regular, encodeEntry(entry));
    for await (const chunk of bytes) await this.#content(chunk);
    await this.#send(FrameType.Leave);
  }

  async #entry(path: string, name: string, info: Deno.FileInfo, depth: number): Promise<void> {
    if (info.isSymlink) {
      return await this.#send(FrameType.Link, encodeLink(name, await Deno.readLink(path)));
    }
    if (!info.isFile && !info.isDirectory) return this.#onSkip(path);
    const entry = encodeEntry({
      name,
      mode: (info.mode ?? 0o644) & PERMISSIONS,
      modified: info.mtime ?? new Date(),
    });
    await this.#send(info.isFile ? FrameType.Regular : FrameType.Folder, entry);
    if (info.isFile) await this.#file(path);
    else await this.#folder(path, depth);
    await this.#send(FrameType.Leave);
  }

  async #folder(path: string, depth: number): Promise<void> {
    if (depth >= MAX_DEPTH) {
      throw new RangeError(`Folders are more than ${MAX_DEPTH} deep in each other at ${path}.`);
    }
    for await (const { name } of Deno.readDir(path)) {
      const child = join(path, name);
      await this.#entry(child, name, await Deno.lstat(child), depth + 1);
    }
  }

  async #file(path: string): Promise<void> {
    using file = await Deno.open(path);
    const buffer = new Uint8Array(CHUNK);
    for (;;) {
      const count = await file.read(buffer);
      if (count === null) return;
      await this.#send(FrameType.Content, buffer.subarray(0, count));
    }
  }

  async #content(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      await this.#send(FrameType.Content, bytes.subarray(at, at + CHUNK));
    }
  }

  async #send(type: number, payload?: Uint8Array): Promise<void> {
    if (this.#stopped) throw new AgentError("The guest takes no more.");
    await this.#connection.send(type, payload);
  }
}
