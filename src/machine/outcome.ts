/**
 * How a VM ended.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.start({ kernel: "debian" });
 * const outcome: RunOutcome = await vm.stop({ graceMs: 1000 });
 * console.log(outcome.kind === "failed" ? outcome.reason : "It powered off.");
 * ```
 */
export type RunOutcome =
  /** The guest powered off, or its user ended it. */
  | { readonly kind: "off" }
  /** The guest asked for a reset. */
  | { readonly kind: "reset" }
  /** The guest failed; the reason is a sentence for its user. */
  | { readonly kind: "failed"; readonly reason: string };

/**
 * Something the machine was given cannot be used; `fault` is whose it is, from which the exit status comes.
 *
 * @example
 * ```ts
 * import { Log, serveDevice } from "spectrum";
 *
 * try {
 *   const log = new Log({ format: "text", level: "info" });
 *   await serveDevice({ log, device: { kind: "rng" }, connection: {} });
 * } catch (error) {
 *   if (!(error instanceof MachineError)) throw error;
 *   console.log(error.fault, error.message);
 * }
 * ```
 */
export class MachineError extends Error {
  override readonly name = "MachineError";
  constructor(readonly fault: "usage" | "host" | "internal", message: string) {
    super(message);
  }
}
