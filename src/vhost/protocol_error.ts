import { backendMessageName, frontendMessageName } from "./protocol.ts";

/** The ways in which the other side can break the vhost-user protocol. */
export type Violation =
  /** A header whose version is not 1. */
  | "version"
  /** A reply flag where a request was due, or none where a reply was. */
  | "reply-flag"
  /** An answer to another message than the one asked. */
  | "wrong-message"
  /** A payload of another size than this message has. */
  | "wrong-size"
  /** A payload longer than any message has. */
  | "oversized"
  /** Descriptors where none belong, too many or too few. */
  | "descriptors"
  /** A field whose value makes no sense, or contradicts what was negotiated or asked. */
  | "value"
  /** A message that is not known, not negotiated, or not due in this state. */
  | "unexpected"
  /** Something was sent that nobody asked for. */
  | "unsolicited"
  /** The connection ended within a message. */
  | "truncated";

/** The other side of a vhost-user connection broke the protocol; the connection is of no more use. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";

  /**
   * @param peer who broke it: "backend" or "frontend" (whoever asked for the message names it)
   * @param request number of the message in question; undefined when it is not known
   * @param violation what was wrong
   * @param detail the same in words, with the numbers
   * @param channel whose message numbers `request` has
   * @param device name of the device, where it is known
   */
  constructor(
    readonly peer: "backend" | "frontend",
    readonly request: number | undefined,
    readonly violation: Violation,
    readonly detail: string,
    readonly channel: "frontend" | "backend" = "frontend",
    readonly device: string = "",
  ) {
    const name = request === undefined
      ? ""
      : ` (${channel === "frontend" ? frontendMessageName(request) : backendMessageName(request)})`;
    const whose = device === "" ? "" : ` of ${device}`;
    super(`The vhost-user ${peer}${whose} broke the protocol${name}: ${detail}`);
  }
}
