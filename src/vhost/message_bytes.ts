import { Header } from "./payloads.ts";
import { HeaderFlags } from "./protocol.ts";

/**
 * A message as it goes over the socket.
 *
 * @param flags besides the version, of {@link HeaderFlags}
 */
export function messageBytes(
  request: number,
  flags: number,
  ...payload: Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const size = payload.reduce((sum, part) => sum + part.length, 0);
  const message = new Uint8Array(Header.size + size);
  message.set(Header.encode({ request, flags: HeaderFlags.Version | flags, size }));
  let at: number = Header.size;
  for (const part of payload) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}
