/** A connection that cannot go on, and why. */
export class RelayError extends Error {
  override readonly name = "RelayError";
}
