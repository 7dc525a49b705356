import { struct, u32, u64 } from "../../src/codec/mod.ts";
import { CompileError } from "./compile_error.ts";

/** A file that the executable carries. */
export interface CarriedFile {
  /** What its descriptor is called in `/proc/PID/fd`. */
  readonly name: string;
  readonly data: Uint8Array;
  /** It is run, rather than loaded or read. */
  readonly executable?: boolean;
}

/** What the executable does when it is called by a name. */
export interface Role<File extends string = string> {
  /** The last part of `argv[0]`; empty for any name. */
  readonly name: string;
  /** The runtime's arguments before the script. */
  readonly arguments: readonly string[];
  /** The files that it gets. */
  readonly files: readonly File[];
  /** The script that the runtime runs. `fileOf` gives text in whose place the number of a file's descriptor comes. */
  script(fileOf: (file: File) => string): string;
  /** What the script goes on with. */
  readonly body?: Uint8Array;
}

/** What the executable is made of beside the runtime. */
export interface Contents<File extends string = string> {
  readonly files: Readonly<Record<File, CarriedFile>>;
  /** The last one has an empty name. */
  readonly roles: readonly Role<File>[];
  /** Variables that every role has. */
  readonly environment: Readonly<Record<string, string>>;
  /** Beginnings of the variables that no role keeps. */
  readonly dropped: readonly string[];
  /** Those that all roles keep nevertheless, with their values. */
  readonly kept: readonly string[];
}

/** What the stub has to know of the runtime; addresses as linked. */
export interface Places {
  /** Of the image itself. */
  readonly address: number;
  readonly entry: number;
  readonly environSlot: number;
}

// The structures of stub.c.
const Header = struct({
  address: u64,
  entry: u64,
  environSlot: u64,
  environment: u32,
  dropped: u32,
  kept: u32,
  roles: u32,
  files: u32,
});
const FileEntry = struct({ name: u32, data: u32, length: u32, executable: u32 });
const RoleEntry = struct({
  name: u32,
  arguments: u32,
  files: u32,
  script: u32,
  body: u32,
  bodyLength: u32,
});

/** MOST_ADDED of stub.c, less the name and the zeros. */
const MOST_ADDED = 60;
const MOST_FILES = 26;

/**
 * The additional segment of the executable: the stub, its header, and what that names.
 *
 * @throws {CompileError} when something exceeds the bounds of the stub
 */
export function layOut<File extends string>(
  stub: Uint8Array,
  { address, entry, environSlot }: Places,
  { files, roles, environment, dropped, kept }: Contents<File>,
): Uint8Array {
  const image = new Growing();
  image.add(stub);
  const header = image.add(new Uint8Array(Header.size));

  const names = Object.keys(files) as File[];
  if (names.length > MOST_FILES) throw new CompileError(`${names.length} files are too many.`);
  if (roles.at(-1)?.name !== "") throw new CompileError("The last role must have no name.");
  const letter = (file: File) => String.fromCharCode(97 + names.indexOf(file));
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);

  const fileEntries = names.map((name) => {
    const file: CarriedFile = files[name];
    return FileEntry.encode({
      name: image.addText(file.name),
      data: image.add(file.data),
      length: file.data.length,
      executable: file.executable ? 1 : 0,
    });
  });
  const roleEntries = roles.map((role) => {
    if (role.arguments.length + variables.length > MOST_ADDED) {
      throw new CompileError(`The role "${role.name}" has too many arguments.`);
    }
    const body = role.body ?? new Uint8Array(0);
    return RoleEntry.encode({
      name: image.addText(role.name),
      arguments: image.addTexts(role.arguments),
      files: image.addText(role.files.map(letter).join("")),
      script: image.addText(scriptOf(role, letter)),
      body: image.add(body),
      bodyLength: body.length,
    });
  });
  image.set(
    header,
    Header.encode({
      address,
      entry,
      environSlot,
      environment: image.addTexts(variables),
      dropped: image.addTexts(dropped),
      kept: image.addTexts(kept),
      roles: image.add(concatenated(roleEntries)),
      files: image.add(concatenated(fileEntries)),
    }),
  );
  return image.bytes();
}

/** The script for the stub: `%` and a letter for the number of a descriptor. */
function scriptOf<File extends string>(role: Role<File>, letter: (file: File) => string): string {
  const text = role.script((file) => {
    if (!role.files.includes(file)) {
      throw new CompileError(`The role "${role.name}" does not get the file "${file}".`);
    }
    return `\0${letter(file)}`;
  });
  if (text.includes("%")) throw new CompileError(`The script of "${role.name}" contains a %.`);
  return text.replaceAll("\0", "%");
}

/** Bytes that are appended to; everything begins at a multiple of 16. */
class Growing {
  readonly #parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #length = 0;

  /** Returns where they begin. */
  add(bytes: Uint8Array): number {
    const at = Math.ceil(this.#length / 16) * 16;
    this.set(at, bytes);
    this.#length = at + bytes.length;
    return at;
  }

  addText(text: string): number {
    if (text.includes("\0")) throw new CompileError("A text contains a NUL.");
    return this.add(new TextEncoder().encode(`${text}\0`));
  }

  addTexts(texts: readonly string[]): number {
    if (texts.some((text) => text === "" || text.includes("\0"))) {
      throw new CompileError("An empty text would end its list.");
    }
    return this.add(new TextEncoder().encode(texts.map((text) => `${text}\0`).join("") + "\0"));
  }

  set(at: number, bytes: Uint8Array): void {
    this.#parts.push({ at, bytes });
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    for (const { at, bytes } of this.#parts) all.set(bytes, at);
    return all;
  }
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
