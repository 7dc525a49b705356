import { basename, dirname, join } from "node:path";
import { AgentError, AgentProtocolError } from "./agent_error.ts";
import { type AgentConnection, printable } from "./connection.ts";
import type { GuestCopyOptions } from "./copy_to_guest.ts";
import { type Frame, FrameType, MAX_DEPTH } from "./protocol.ts";
import { decodeEntry, decodeLink, type TreeEntry } from "./tree_entry.ts";

/** Where a copy goes: a path here, or a stream that takes the bytes of one file. */
export type CopyDestination = string | WritableStream<Uint8Array>;

/**
 * Copies a file or a folder with all that is in it out of a guest. The guest is not trusted: nothing is written outside of
 * the destination, whatever it sends.
 *
 * @param connection becomes the copy's
 * @param source path in the guest
 * @param destination a folder that is there takes the copy in
 * @throws {AgentError} when the guest cannot give it
 */
export async function copyFromGuest(
  connection: AgentConnection,
  source: string,
  destination: CopyDestination,
  { user, onSkip = () => {} }: GuestCopyOptions = {},
): Promise<void> {
  using opened = connection;
  await opened.sendText(FrameType.Argument, source);
  if (user !== undefined) await opened.sendText(FrameType.User, user);
  await opened.send(FrameType.Fetch);
  using receiver = typeof destination === "string"
    ? new TreeReceiver(destination)
    : new FileReceiver(destination);
  for (;;) {
    const frame = await opened.next();
    if (frame.type === FrameType.Done) return await receiver.done();
    if (frame.type === FrameType.Skipped) {
      onSkip(printable(new TextDecoder().decode(frame.payload)));
    } else await receiver.take(frame);
  }
}

/** A file or folder that is being written. */
interface Open {
  readonly path: string;
  readonly entry: TreeEntry;
  /** Undefined for a folder. */
  readonly file?: Deno.FsFile;
  /** Something that is no file, such as a device, which the user named: its mode is not the guest's to set. */
  readonly foreign?: boolean;
}

/** Writes a tree. In it every name is one component, every file is a new one, and no folder is entered through a link. */
class TreeReceiver implements Disposable {
  readonly #destination: string;
  readonly #open: Open[] = [];
  #started = false;

  constructor(destination: string) {
    this.#destination = destination;
  }

  async take({ type, payload }: Frame): Promise<void> {
    const top = this.#open.at(-1);
    switch (type) {
      case FrameType.Content:
        if (top?.file === undefined) throw disorder();
        for (let at = 0; at < payload.length;) at += await top.file.write(payload.subarray(at));
        return;
      case FrameType.Leave:
        if (top === undefined) throw disorder();
        return await this.#leave(top);
      case FrameType.Folder: {
        const entry = decodeEntry(payload);
        return await this.#enter(await this.#place(entry.name), entry);
      }
      case FrameType.Regular: {
        const entry = decodeEntry(payload);
        return await this.#create(await this.#place(entry.name), entry);
      }
      case FrameType.Link: {
        const { name, target } = decodeLink(payload);
        const { path } = await this.#place(name);
        await removeOld(path);
        return await Deno.symlink(target, path);
      }
      default:
        throw disorder();
    }
  }

  done(): void {
    if (!this.#started || this.#open.length > 0) throw disorder();
  }

  /** Where the next thing goes, and whether the user named that very path. */
  async #place(name: string): Promise<{ path: string; named: boolean }> {
    const top = this.#open.at(-1);
    if (top !== undefined) {
      if (top.file !== undefined) throw disorder();
      if (this.#open.length > MAX_DEPTH) {
        throw new AgentError(`Folders are more than ${MAX_DEPTH} deep in each other.`);
      }
      return { path: join(top.path, name), named: false };
    }
    if (this.#started) throw disorder();
    this.#started = true;
    const info = await statOrUndefined(this.#destination);
    if (info?.isDirectory) return { path: join(this.#destination, name), named: false };
    const folder = this.#destination.endsWith("/") ? this.#destination : dirname(this.#destination);
    if (this.#destination.endsWith("/") || !(await statOrUndefined(folder))?.isDirectory) {
      throw new AgentError(`There is no folder ${folder}.`);
    }
    return { path: this.#destination, named: true };
  }

  async #enter({ path, named }: { path: string; named: boolean }, entry: TreeEntry): Promise<void> {
    try {
      await Deno.mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      const info = await (named ? Deno.stat(path) : Deno.lstat(path));
      if (!info.isDirectory) throw new AgentError(`${path} is in the way: it is no folder.`);
    }
    this.#open.push({ path, entry });
  }

  async #create(
    { path, named }: { path: string; named: boolean },
    entry: TreeEntry,
  ): Promise<void> {
    if (!named) await removeOld(path);
    const file = await Deno.open(path, {
      write: true,
      mode: 0o600,
      ...(named ? { create: true, truncate: true } : { createNew: true }),
    });
    const foreign = named && !(await file.stat()).isFile;
    this.#open.push({ path, entry, file, foreign });
  }

  async #leave({ path, entry, file, foreign }: Open): Promise<void> {
    this.#open.pop();
    file?.close();
    if (foreign) return;
    await Deno.chmod(path, entry.mode);
    await Deno.utime(path, entry.modified, entry.modified);
  }

  [Symbol.dispose](): void {
    for (const { file } of this.#open.splice(0)) file?.close();
  }
}

/** Passes on the bytes of one file. */
class FileReceiver implements Disposable {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #state: "before" | "inside" | "behind" = "before";

  constructor(destination: WritableStream<Uint8Array>) {
    this.#writer = destination.getWriter();
  }

  async take({ type, payload }: Frame): Promise<void> {
    if (type === FrameType.Folder && this.#state === "before") {
      throw new AgentError(
        `${basename(decodeEntry(payload).name)} is a folder; only a file can go into a stream.`,
      );
    }
    if (type === FrameType.Regular && this.#state === "before") this.#state = "inside";
    else if (type === FrameType.Leave && this.#state === "inside") this.#state = "behind";
    else if (type === FrameType.Content && this.#state === "inside") {
      await this.#writer.write(payload.slice());
    } else throw disorder();
  }

  async done(): Promise<void> {
    if (this.#state !== "behind") throw disorder();
    await this.#writer.close();
  }

  [Symbol.dispose](): void {
    this.#writer.releaseLock();
  }
}

async function statOrUndefined(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Takes away what lies where something is to be made, so that it is not written through; a folder stays. */
async function removeOld(path: string): Promise<void> {
  try {
    if ((await Deno.lstat(path)).isDirectory) {
      throw new AgentError(`${path} is in the way: it is a folder.`);
    }
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function disorder(): AgentError {
  return new AgentProtocolError("what it sends of a copy makes no sense");
}
