/** What monitor and starter say to each other, one packet each (`ffi/starter.c`, `ffi/jail.c`, `ffi/paths.c`). */

import { struct, u32 } from "../codec/mod.ts";
import type { StartStage } from "./start_error.ts";

/** Kinds of request. */
export const Request = {
  ...{ Start: 1, Kill: 2, Seal: 3 },
  ...{ Admit: 4, Connect: 5, Save: 6, Saved: 7 },
} as const;

/** Kinds of answer. */
export const Answer = { Started: 1, Failed: 2, Exited: 3, Done: 4 } as const;

/** Head of a start request; target numbers, limits and strings follow. */
export const StartHead = struct({
  kind: u32,
  id: u32,
  argc: u32,
  envc: u32,
  descriptors: u32,
  /** Pairs of a resource and the most of it. */
  limits: u32,
  /** Strings after those of the environment: files of the root. */
  files: u32,
  /** The most descriptors that the process may have. */
  openFiles: u32,
  /** The user, and group, that it becomes. */
  user: u32,
  /** CLONE_NEW*. */
  namespaces: u32,
  measures: u32,
});

/** A kill request. */
export const KillRequest = struct({ kind: u32, id: u32, signal: u32 });

/** From here on nothing is started that was not asked for before. It has no answer. */
export const SealRequest = struct({ kind: u32, id: u32 });

/** Head of a request about a path; the path and its NUL follow, if it has one. `detail` is {@link Admit}, regions, or 0. */
export const PathHead = struct({ kind: u32, id: u32, detail: u32 });

/** How a path is admitted. */
export const Admit = { numbered: 1, noLink: 2, ours: 4 } as const;

/** The most descriptors that an answer carries: of a snapshot's files. */
export const ANSWER_DESCRIPTORS = 10;

/** Every answer. `a` and `b`: process and 0; errno and stage; status and signal; errno and 0. */
export const AnswerPacket = struct({ kind: u32, id: u32, a: u32, b: u32 });

/** The target "number" of the descriptor that is the program. */
export const PROGRAM_TARGET = -1;

/** The process stays with the user that the starter has. */
export const SAME_USER = 0xffff_ffff;

/** Bounds that the starter enforces. */
export const Limits = {
  descriptors: 64,
  targets: 200,
  openFiles: 65_536,
  strings: 256,
  packet: 65536,
} as const;

const stages: readonly StartStage[] = [
  "request",
  "fork",
  "descriptors",
  "jail",
  "exec",
  "namespaces",
  "root",
  "landlock",
];

/** The stage that a failure names. */
export function stageOf(number: number): StartStage {
  return stages[number - 1] ?? "request";
}

/** The parts of a start request, as numbers and strings. */
export interface StartRequest {
  readonly argv: readonly string[];
  readonly environment?: readonly string[];
  /** The number that each descriptor of the packet gets. */
  readonly targets?: readonly number[];
  /** How many descriptors the process may have. */
  readonly openFiles: number;
  /** Whom it runs as; left out, whom the starter does. */
  readonly user?: number;
  readonly namespaces?: number;
  readonly measures?: number;
  /** Files of its root, each after `r` or `x` for its right. */
  readonly files?: readonly string[];
  /** Resources of setrlimit, with the most of each. */
  readonly limits?: readonly (readonly [number, number])[];
}

/**
 * A start request.
 *
 * @throws RangeError when it exceeds the bounds of the starter
 * @throws TypeError for a NUL inside a string
 */
export function encodeStart(id: number, request: StartRequest): Uint8Array {
  const { argv, environment = [], targets = [], openFiles, files = [], limits = [] } = request;
  const texts = [...argv, ...environment, ...files];
  if (texts.some((text) => text.includes("\0"))) {
    throw new TypeError("An argument contains a NUL character");
  }
  const strings = new TextEncoder().encode(texts.map((text) => `${text}\0`).join(""));
  const numbers = [...targets, ...limits.flat()];
  const head = StartHead.encode({
    kind: Request.Start,
    id,
    argc: argv.length,
    envc: environment.length,
    descriptors: targets.length,
    limits: limits.length,
    files: files.length,
    openFiles,
    user: request.user ?? SAME_USER,
    namespaces: request.namespaces ?? 0,
    measures: request.measures ?? 0,
  });
  const size = head.length + numbers.length * 4 + strings.length;
  const fits = argv.length >= 1 && argv.length <= Limits.strings &&
    environment.length <= Limits.strings && files.length <= Limits.strings &&
    targets.length <= Limits.descriptors &&
    openFiles >= Limits.targets && openFiles <= Limits.openFiles &&
    size <= Limits.packet;
  if (!fits) throw new RangeError("Arguments, environment or descriptors are too many");
  const packet = new Uint8Array(size);
  packet.set(head);
  const view = new DataView(packet.buffer);
  numbers.forEach((number, i) => view.setInt32(head.length + i * 4, number, true));
  packet.set(strings, head.length + numbers.length * 4);
  return packet;
}

/** The parts of a request about a path. */
export interface PathRequest {
  readonly kind: number;
  readonly detail: number;
  /** Not in all. */
  readonly path?: string;
}

/**
 * A request about a path.
 *
 * @throws RangeError when it is too long
 * @throws TypeError for a NUL inside of it
 */
export function encodePath(id: number, { kind, detail, path }: PathRequest): Uint8Array {
  const head = PathHead.encode({ kind, id, detail });
  if (path === undefined) return head;
  if (path.includes("\0")) throw new TypeError("A path contains a NUL character");
  const text = new TextEncoder().encode(`${path}\0`);
  const packet = new Uint8Array(head.length + text.length);
  if (packet.length > Limits.packet) throw new RangeError("A path is too long");
  packet.set(head);
  packet.set(text, head.length);
  return packet;
}
