/** What monitor and starter say to each other, one packet each (`ffi/starter.c`). */

import { struct, u32 } from "../codec/mod.ts";
import type { StartStage } from "./start_error.ts";

/** Kinds of request. */
export const Request = { Start: 1, Kill: 2 } as const;

/** Kinds of answer. */
export const Answer = { Started: 1, Failed: 2, Exited: 3 } as const;

/** Head of a start request; target numbers and strings follow. */
export const StartHead = struct({
  kind: u32,
  id: u32,
  argc: u32,
  envc: u32,
  descriptors: u32,
  /** The most descriptors that the process may have. */
  files: u32,
  /** The user, and group, that it becomes. */
  user: u32,
});

/** A kill request. */
export const KillRequest = struct({ kind: u32, id: u32, signal: u32 });

/** Every answer. `a` and `b`: process and 0; errno and stage; status and signal. */
export const AnswerPacket = struct({ kind: u32, id: u32, a: u32, b: u32 });

/** The target "number" of the descriptor that is the program. */
export const PROGRAM_TARGET = -1;

/** The process stays with the user that the starter has. */
export const SAME_USER = 0xffff_ffff;

/** Bounds that the starter enforces. */
export const Limits = {
  descriptors: 64,
  targets: 200,
  files: 65_536,
  strings: 256,
  packet: 65536,
} as const;

const stages: readonly StartStage[] = ["request", "fork", "descriptors", "jail", "exec"];

/** The stage that a failure names. */
export function stageOf(number: number): StartStage {
  return stages[number - 1] ?? "request";
}

/**
 * A start request.
 *
 * @param targets the number that each descriptor of the packet gets
 * @param files how many descriptors the process may have
 * @param user whom it runs as, or {@linkcode SAME_USER}
 * @throws RangeError when it exceeds the bounds of the starter
 * @throws TypeError for a NUL inside a string
 */
export function encodeStart(
  id: number,
  argv: readonly string[],
  environment: readonly string[],
  targets: readonly number[],
  files: number,
  user: number = SAME_USER,
): Uint8Array {
  const texts = [...argv, ...environment];
  if (texts.some((text) => text.includes("\0"))) {
    throw new TypeError("An argument contains a NUL character");
  }
  const strings = new TextEncoder().encode(texts.map((text) => `${text}\0`).join(""));
  const head = StartHead.encode({
    kind: Request.Start,
    id,
    argc: argv.length,
    envc: environment.length,
    descriptors: targets.length,
    files,
    user,
  });
  const size = head.length + targets.length * 4 + strings.length;
  const fits = argv.length >= 1 && argv.length <= Limits.strings &&
    environment.length <= Limits.strings && targets.length <= Limits.descriptors &&
    files >= Limits.targets && files <= Limits.files &&
    size <= Limits.packet;
  if (!fits) throw new RangeError("Arguments, environment or descriptors are too many");
  const packet = new Uint8Array(size);
  packet.set(head);
  const view = new DataView(packet.buffer);
  targets.forEach((target, i) => view.setInt32(head.length + i * 4, target, true));
  packet.set(strings, head.length + targets.length * 4);
  return packet;
}
