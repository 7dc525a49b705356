/** How a VM ended. */
export type RunOutcome =
  /** The guest powered off, or its user ended it. */
  | { readonly kind: "off" }
  /** The guest asked for a reset. */
  | { readonly kind: "reset" }
  /** The guest failed; the reason is a sentence for its user. */
  | { readonly kind: "failed"; readonly reason: string };

/** Something the machine was given cannot be used; `fault` is whose it is, from which the exit status comes. */
export class MachineError extends Error {
  override readonly name = "MachineError";
  constructor(readonly fault: "usage" | "host" | "internal", message: string) {
    super(message);
  }
}
