/** Why a message was not sent. */
export type SendRefusal =
  /** A field that should be a descriptor is none, or one that is closed or moved. */
  | "descriptor"
  /** More than the transport carries. */
  | "too-many-descriptors"
  /** Longer than the socket's limit. */
  | "too-large"
  /** Not what the message's schema says. */
  | "invalid"
  /** Our end is closed, or the peer is gone. */
  | "closed"
  /** The peer takes nothing, and too much waits for it. */
  | "not-read"
  /** The system refused, for example because too many descriptors are on their way. */
  | "system";

/** A message that was refused before any byte of it left. The connection goes on, unless it is closed. */
export class SendError extends Error {
  override readonly name = "SendError";

  constructor(readonly reason: SendRefusal, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** How a peer broke the rules. */
export type Violation =
  /** Not the start of a frame of ours. */
  | "frame"
  /** A frame longer than the limit of this socket. */
  | "oversized"
  /** Descriptors that were not announced, or more than the transport carries. */
  | "unannounced"
  /** Fewer descriptors than were announced. */
  | "missing"
  /** Descriptors that came and could not be taken. */
  | "lost"
  /** Not CBOR as we write it, or too much of it. */
  | "encoding"
  /** Not what the message's schema says, or no message that this end knows. */
  | "schema"
  /** An answer without request, a request with an id in use, and the like. */
  | "sequence";

/** The peer sent what no peer may send; the connection is over. */
export class PeerError extends Error {
  override readonly name = "PeerError";

  constructor(readonly violation: Violation, detail: string) {
    super(`The peer broke the message protocol: ${detail}`);
  }
}

/** The other end is gone, or this one is closed: nothing more will be answered. */
export class DisconnectedError extends Error {
  override readonly name = "DisconnectedError";

  constructor(message = "The peer has closed its message socket") {
    super(message);
  }
}

/**
 * A request that failed at the other end, as its handler said it: throw one in a handler, catch one at the request.
 * Any other exception of a handler crosses as `internal`, without its text.
 */
export class RequestError<Code extends string = string> extends Error {
  override readonly name = "RequestError";

  /** @param code one of those that the message's declaration lists, or `internal`, `cancelled`, `timeout` */
  constructor(readonly code: Code, message: string) {
    super(message);
  }
}
