import { createHash } from "node:crypto";
import { join } from "node:path";

/** A tape that is kept, and the name of its file. */
export interface KeptTape {
  readonly name: string;
  readonly tape: Uint8Array<ArrayBuffer>;
}

const FOLDER = new URL("corpus/", import.meta.url).pathname;
/** Where tapes go that broke a promise. */
export const FOUND = new URL("../../build/fuzz/", import.meta.url).pathname;
/** Names that tapes get which were kept for the code that they reach; others have names because of what they once broke. */
const BY_HASH = /^[0-9a-f]{12}$/;

export function hashOf(tape: Uint8Array): string {
  return createHash("sha256").update(tape).digest("hex").slice(0, 12);
}

export const folderOf = (target: string) => join(FOLDER, target);

/** The tapes of a target, the same order each time. */
export function readCorpus(target: string): KeptTape[] {
  try {
    return [...Deno.readDirSync(folderOf(target))].map(({ name }) => name).sort()
      .map((name) => ({ name, tape: Deno.readFileSync(join(folderOf(target), name)) }));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [];
  }
}

/** Replaces the tapes that were kept for the code that they reach. */
export function replaceCorpus(target: string, tapes: readonly Uint8Array[]): void {
  Deno.mkdirSync(folderOf(target), { recursive: true });
  const wanted = new Map(tapes.map((tape) => [hashOf(tape), tape]));
  for (const { name } of readCorpus(target)) {
    if (BY_HASH.test(name) && !wanted.delete(name)) Deno.removeSync(join(folderOf(target), name));
  }
  for (const [name, tape] of wanted) Deno.writeFileSync(join(folderOf(target), name), tape);
}

/** Whether a tape has to stay, whatever it reaches. */
export const isRegression = ({ name }: KeptTape) => !BY_HASH.test(name);

/** Keeps a tape that broke a promise; returns its file. */
export function writeFound(target: string, tape: Uint8Array): string {
  Deno.mkdirSync(FOUND, { recursive: true });
  const file = join(FOUND, `${target}-${hashOf(tape)}`);
  Deno.writeFileSync(file, tape);
  return file;
}

/** Where the tape is that a process of a target plays. */
export const currentTape = (target: string) => join(FOUND, `${target}.now`);
