import { AgentProtocolError } from "./agent_error.ts";
import { viewOf } from "./connection.ts";

/** Bits of a mode that a copy brings along: no set-user-ID and the like. */
export const PERMISSIONS = 0o777;

/** Mode, nanoseconds, seconds; then comes the name. */
const FIXED = 16;
const MAX_NAME = 255;
const MAX_TARGET = 4096;

/** A file or folder in a tree, as its frame describes it. */
export interface TreeEntry {
  readonly name: string;
  readonly mode: number;
  readonly modified: Date;
}

/** The payload of a file or folder. */
export function encodeEntry({ name, mode, modified }: TreeEntry): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(name);
  const bytes = new Uint8Array(FIXED + text.length);
  const view = viewOf(bytes);
  const milliseconds = modified.getTime();
  const seconds = Math.floor(milliseconds / 1000);
  view.setUint32(0, mode & PERMISSIONS, true);
  view.setUint32(4, Math.round((milliseconds - seconds * 1000) * 1e6), true);
  // Two halves of a signed number.
  view.setUint32(8, seconds >>> 0, true);
  view.setInt32(12, Math.floor(seconds / 2 ** 32), true);
  bytes.set(text, FIXED);
  return bytes;
}

/** What a guest says of a file or folder. @throws {AgentProtocolError} when its name would lead elsewhere */
export function decodeEntry(payload: Uint8Array): TreeEntry {
  if (payload.length < FIXED) throw new AgentProtocolError("it sent half of a file's description");
  const view = viewOf(payload);
  const seconds = view.getUint32(8, true) + view.getInt32(12, true) * 2 ** 32;
  const milliseconds = seconds * 1000 + view.getUint32(4, true) / 1e6;
  const modified = new Date(milliseconds);
  return {
    name: componentOf(payload.subarray(FIXED)),
    mode: view.getUint32(0, true) & PERMISSIONS,
    // A time that no date can have is as good as none.
    modified: Number.isNaN(modified.getTime()) ? new Date(0) : modified,
  };
}

/** The payload of a symbolic link. */
export function encodeLink(name: string, target: string): Uint8Array {
  return new TextEncoder().encode(`${name}\0${target}`);
}

/** What a guest says of a symbolic link. @throws {AgentProtocolError} */
export function decodeLink(
  payload: Uint8Array,
): { readonly name: string; readonly target: string } {
  const end = payload.indexOf(0);
  if (end < 0) throw new AgentProtocolError("it sent half of a link");
  const target = textOf(payload.subarray(end + 1));
  if (target === "" || target.includes("\0") || target.length > MAX_TARGET) {
    throw new AgentProtocolError("it sent a link to nowhere");
  }
  return { name: componentOf(payload.subarray(0, end)), target };
}

/** One component of a path: nothing by which it could leave its folder. */
function componentOf(bytes: Uint8Array): string {
  const name = textOf(bytes);
  const leaves = name === "" || name === "." || name === ".." || /[/\0]/.test(name);
  if (leaves || bytes.length > MAX_NAME) {
    throw new AgentProtocolError(`it sent a file by the name of ${JSON.stringify(name)}`);
  }
  return name;
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new AgentProtocolError("it sent a file whose name is not UTF-8");
  }
}
