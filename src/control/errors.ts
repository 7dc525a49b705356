import type { ProblemCode } from "./schemas.ts";

/** Exit status of the command line for a class of errors; what is not named is the caller's mistake. */
const EXIT_STATUS: Partial<Record<ProblemCode, number>> = { host: 2, internal: 4, http: 4 };

/**
 * A running VM did not do what it was asked for; the message says why.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * try {
 *   await vm.stop({ graceMs: -1 });
 * } catch (error) {
 *   if (!(error instanceof ControlError)) throw error;
 *   console.log(error.code, error.message);
 * }
 * ```
 */
export class ControlError extends Error {
  override readonly name: string = "ControlError";

  /** @param code class of the error, as the control API names it */
  constructor(readonly code: ProblemCode, message: string) {
    super(message);
  }

  /** Exit status of the command line. */
  get exitStatus(): number {
    return EXIT_STATUS[this.code] ?? 1;
  }
}

/**
 * No VM of that name runs.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * try {
 *   await using _vm = await Vm.connect("apq");
 * } catch (error) {
 *   if (!(error instanceof NoSuchVmError)) throw error;
 *   console.log(`Try ${error.nearest}`);
 * }
 * ```
 */
export class NoSuchVmError extends Error {
  override readonly name = "NoSuchVmError";
  /** Exit status of the command line. */
  readonly exitStatus = 1;

  /**
   * @param vm the name
   * @param nearest the running VM that may have been meant
   */
  constructor(readonly vm: string, readonly nearest?: string) {
    const hint = nearest === undefined ? "See: spectrum ps." : `Did you mean "${nearest}"?`;
    super(`No VM named "${vm}" runs. ${hint}`);
  }
}

/**
 * The connection to a VM's monitor ended before it had answered.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.start({ kernel: "debian" });
 * await vm.stop({ force: true });
 * await vm.outcome();
 * try {
 *   await vm.info();
 * } catch (error) {
 *   if (!(error instanceof ConnectionLostError)) throw error;
 *   console.log(`${error.vm} has ended`);
 * }
 * ```
 */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
  /** Exit status of the command line. */
  readonly exitStatus = 4;

  /** @param vm the name of the VM */
  constructor(readonly vm: string, options?: ErrorOptions) {
    super(`The monitor of the VM "${vm}" ended before it had answered.`, options);
  }
}

/**
 * A VM could not be started.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * try {
 *   await using vm = await Vm.start({ kernel: "debian", memory: "256M" });
 *   console.log(vm.name);
 * } catch (error) {
 *   if (!(error instanceof StartError)) throw error;
 *   console.log(error.exitStatus === 2 ? "This host cannot run VMs." : error.message);
 * }
 * ```
 */
export class StartError extends Error {
  override readonly name = "StartError";

  /**
   * @param exitStatus the exit status that the command line has for this: 1 usage or configuration, 2 the host cannot do
   * it, 3 the guest failed, 4 an internal error
   */
  constructor(readonly exitStatus: number, message: string) {
    super(message);
  }
}
