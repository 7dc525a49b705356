import { decode, type DecodeOptions, encode, Token, Tokenizer, Type } from "cborg";
import { Fd, type Owned } from "../os/mod.ts";
import type { SentFd } from "./descriptor.ts";
import { PeerError } from "./message_errors.ts";

/** The tag of a descriptor; its content is the place among those that go with the message. "FD", unassigned by IANA. */
const DESCRIPTOR_TAG = 0x4644;

/** The most values in a message. Each takes one byte on the wire, and many times that in memory. */
const MOST_VALUES = 100_000;

/** A value as CBOR, and the descriptors in it. */
export function encodeValue(value: unknown): { payload: Uint8Array; fds: SentFd[] } {
  const fds: SentFd[] = [];
  const payload = encode(value, {
    ignoreUndefinedProperties: true,
    typeEncoders: {
      // Also called for plain objects, which are left to the library.
      Object(object: unknown) {
        if (!Fd.is(object)) return null;
        fds.push(object as SentFd);
        return [new Token(Type.tag, DESCRIPTOR_TAG), new Token(Type.uint, fds.length - 1)];
      },
    },
  });
  return { payload, fds };
}

/**
 * A value from CBOR, with each of the descriptors in exactly one place.
 *
 * @throws PeerError when it is anything else; the descriptors stay the caller's
 */
export function decodeValue(payload: Uint8Array, fds: readonly Owned<Fd>[]): unknown {
  const used = new Set<number>();
  const options: DecodeOptions = {
    strict: true,
    allowIndefinite: false,
    allowUndefined: false,
    rejectDuplicateMapKeys: true,
    tags: {
      [DESCRIPTOR_TAG](content) {
        const place = content();
        if (typeof place !== "number" || fds[place] === undefined || used.has(place)) {
          throw new Error(`there is no descriptor ${place}, or it is named twice`);
        }
        used.add(place);
        return fds[place];
      },
    },
  };
  let value: unknown;
  try {
    value = decode(payload, { ...options, tokenizer: new BoundedTokenizer(payload, options) });
  } catch (error) {
    // Nesting without end exhausts the stack, which is an error like any other.
    const reason = error instanceof Error ? error.message : String(error);
    throw new PeerError("encoding", `a message cannot be decoded: ${reason}`);
  }
  if (used.size < fds.length) {
    const detail = `${fds.length} descriptors came with a message that names ${used.size}`;
    throw new PeerError("encoding", detail);
  }
  return value;
}

class BoundedTokenizer extends Tokenizer {
  #count = 0;

  override next(): Token {
    if (++this.#count > MOST_VALUES) throw new Error(`it has more than ${MOST_VALUES} values`);
    return super.next();
  }
}
