import { Errno, type Fd, MessageFlags, receiveMessage, sendMessage } from "../../../src/os/mod.ts";
import { pause } from "./load.ts";

/** Writes a text at the host's end of a stream, as the other end takes it. */
export async function says(host: Fd, text: Uint8Array): Promise<void> {
  for (let at = 0; at < text.length;) {
    const sent = sendMessage(host, text.subarray(at), [], MessageFlags.DontWait);
    if (sent > 0) at += sent;
    else await pause(1);
  }
}

/** Reads a text at the host's end of a stream, and nothing else. */
export async function hears(host: Fd, text: Uint8Array): Promise<void> {
  const buffer = new Uint8Array(65536);
  for (let at = 0; at < text.length;) {
    const { length } = receiveMessage(host, buffer, 0, MessageFlags.DontWait);
    if (length === -Errno.EAGAIN) {
      await pause(1);
      continue;
    }
    const found = buffer.subarray(0, Math.max(0, length));
    if (length <= 0 || found.some((byte, i) => byte !== text[at + i])) {
      throw new Error(`The host reads something else (${length})`);
    }
    at += length;
  }
}
