import { createHash } from "node:crypto";
import { dirname, join } from "node:path";

/** Where an entry of an image comes from. */
export type Source =
  | {
    readonly kind: "file";
    readonly path: string;
    readonly mode: number;
    readonly size: number;
    readonly mtime: number;
  }
  | { readonly kind: "text"; readonly text: string; readonly mode: number }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "directory"; readonly mode: number };

/** What an image is to hold: absolute paths and where each comes from. */
export class FileSet {
  readonly #entries = new Map<string, Source>();

  /** Paths and sources, sorted so that folders come before what is in them. */
  get entries(): [string, Source][] {
    return [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Adds a host file under `at`, by default where it is on the host. Links are followed. */
  async addFile(path: string, at = path): Promise<void> {
    const { size, mtime, mode } = await Deno.stat(path);
    this.#entries.set(canonical(at), {
      kind: "file",
      path,
      mode: (mode ?? 0o644) & 0o7777,
      size,
      mtime: mtime?.getTime() ?? 0,
    });
  }

  /** The same, where a file that is not there is left out. */
  async addFileIfPresent(path: string, at = path): Promise<boolean> {
    try {
      await this.addFile(path, at);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Adds all below a folder; one that does not exist adds nothing. */
  async addTree(
    path: string,
    at = path,
    leaveOut: (path: string) => boolean = () => false,
  ): Promise<void> {
    let entries: Deno.DirEntry[];
    try {
      entries = await Array.fromAsync(Deno.readDir(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    this.addDirectory(at);
    for (const entry of entries) {
      const child = join(path, entry.name);
      if (leaveOut(child)) continue;
      if (entry.isDirectory) await this.addTree(child, join(at, entry.name), leaveOut);
      else if (entry.isSymlink) this.addLink(join(at, entry.name), await Deno.readLink(child));
      else if (entry.isFile) await this.addFileIfPresent(child, join(at, entry.name));
    }
  }

  /** Adds a file with this text. */
  addText(at: string, text: string, mode = 0o644): void {
    this.#entries.set(canonical(at), { kind: "text", text, mode });
  }

  /** Adds a symbolic link. */
  addLink(at: string, target: string): void {
    this.#entries.set(canonical(at), { kind: "link", target });
  }

  /** Adds an empty folder. */
  addDirectory(at: string, mode = 0o755): void {
    this.#entries.set(canonical(at), { kind: "directory", mode });
  }

  /** Bytes that the files need, each rounded up to a block. */
  get size(): number {
    let total = 0;
    for (const source of this.#entries.values()) {
      const bytes = source.kind === "file"
        ? source.size
        : source.kind === "text"
        ? source.text.length
        : 0;
      total += 4096 + Math.ceil(bytes / 4096) * 4096;
    }
    return total;
  }

  /** Changes when any path, size, time or text does. */
  key(): string {
    return createHash("sha256").update(JSON.stringify(this.entries)).digest("hex").slice(0, 16);
  }

  /** Copies everything below a folder of the host. */
  async stage(root: string): Promise<void> {
    const made = new Set<string>();
    for (const [path, source] of this.entries) {
      const target = join(root, path);
      const parent = source.kind === "directory" ? target : dirname(target);
      if (!made.has(parent)) await Deno.mkdir(parent, { recursive: true });
      made.add(parent);
      if (source.kind === "link") await Deno.symlink(source.target, target);
      else if (source.kind === "file") await Deno.copyFile(source.path, target);
      else if (source.kind === "text") await Deno.writeTextFile(target, source.text);
      if (source.kind !== "link") await Deno.chmod(target, source.mode);
      if (source.kind === "file") {
        await Deno.utime(target, source.mtime / 1000, source.mtime / 1000);
      }
    }
  }
}

/** Debian's merged /usr: /bin, /lib and so on are links in the images. */
function canonical(path: string): string {
  if (!path.startsWith("/")) throw new RangeError(`"${path}" is not absolute`);
  return path.replace(/^\/(bin|sbin|lib|lib64)\//, "/usr/$1/");
}
