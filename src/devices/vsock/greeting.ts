import { Errno, type Fd, MessageFlags, receiveMessage, sendMessage } from "../../os/mod.ts";

/** `CONNECT 4294967295` with its end of line, and some spaces. */
const LONGEST = 32;
const NEW_LINE = 10;
const WORDS = /^CONNECT +(\d{1,10})\r?\n$/;

const line = new Uint8Array(LONGEST);
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/**
 * Takes the line by which a program of the host says which port of the guest it wants (`CONNECT PORT`, the convention of
 * Firecracker and cloud-hypervisor), and nothing of what follows it.
 *
 * @returns the port; "later" when the line is not whole, "nonsense" when it is none, or the program is gone
 */
export function takeGreeting(socket: Fd): number | "later" | "nonsense" {
  const { Peek, DontWait } = MessageFlags;
  const { length } = receiveMessage(socket, line, 0, Peek | DontWait);
  if (length === -Errno.EAGAIN) return "later";
  if (length <= 0) return "nonsense";
  const end = line.subarray(0, length).indexOf(NEW_LINE) + 1;
  if (end === 0) return length < LONGEST ? "later" : "nonsense";
  const words = line.subarray(0, end);
  receiveMessage(socket, words, 0, DontWait);
  const port = Number(WORDS.exec(decoder.decode(words))?.[1] ?? NaN);
  return port <= 0xffff_ffff ? port : "nonsense";
}

/** Tells the program that it is connected. False when it does not take that. */
export function answerGreeting(socket: Fd, hostPort: number): boolean {
  const bytes = encoder.encode(`OK ${hostPort}\n`);
  return sendMessage(socket, bytes, [], MessageFlags.DontWait) === bytes.length;
}
