import { ImageError } from "./image_error.ts";

/** How an image is to be made. */
export interface ImageOptions {
  /** Debian's packages, beside those of every image. */
  readonly packages: readonly string[];
  /** SHA-256 of the script that ran in it, in hex. */
  readonly script?: string;
  readonly release: string;
  readonly mirror?: string;
}

/** An image of a name: what it was made of, and which base it is. */
export interface ImageRecord extends ImageOptions {
  readonly name: string;
  /** SHA-256 of the base's file, in hex. */
  readonly base: string;
  /** Bytes of it. */
  readonly size: number;
  /** ISO 8601 */
  readonly built: string;
  /** SHA-256 of what we put into it ourselves, and of how. */
  readonly recipe: string;
  /** Versions by package. */
  readonly versions: Readonly<Record<string, string>>;
}

/** What a VM wrote, and on which base. */
export interface OverlayRecord {
  readonly image: string;
  /** SHA-256 of the base's file, in hex: the overlay makes no sense on another. */
  readonly base: string;
  /** ISO 8601 */
  readonly created: string;
}

const HASH = /^[0-9a-f]{64}$/;

/** @throws {ImageError} when a file is no record, or somebody else's */
export function parseImageRecord(text: string, path: string): ImageRecord {
  const value = parse(text, path);
  const { name, base, size, built, recipe, versions, packages, script, release, mirror } = value;
  if (
    typeof name !== "string" || !isHash(base) || typeof size !== "number" ||
    typeof built !== "string" || typeof recipe !== "string" || typeof release !== "string" ||
    !isOptionalString(script) || !isOptionalString(mirror) || !Array.isArray(packages) ||
    !packages.every(isString) || !isTable(versions) || !Object.values(versions).every(isString)
  ) throw notOne(path);
  return {
    ...{ name, base, size, built, recipe, packages, script, release, mirror },
    versions: versions as Record<string, string>,
  };
}

/** @throws {ImageError} when a file is no record */
export function parseOverlayRecord(text: string, path: string): OverlayRecord {
  const { image, base, created } = parse(text, path);
  if (typeof image !== "string" || !isHash(base) || typeof created !== "string") {
    throw notOne(path);
  }
  return { image, base, created };
}

function parse(text: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isTable(value)) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw notOne(path);
}

function notOne(path: string): ImageError {
  return new ImageError("host", `${path} is damaged. Remove it.`);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isOptionalString(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}

function isHash(value: unknown): value is string {
  return typeof value === "string" && HASH.test(value);
}
