import type { ProblemCode } from "./schemas.ts";

/** Exit status of the command line for a class of errors; what is not named is the caller's mistake. */
const EXIT_STATUS: Partial<Record<ProblemCode, number>> = { host: 2, internal: 4, http: 4 };

/** A running VM did not do what it was asked for; the message says why. */
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

/** No VM of that name runs. */
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

/** The connection to a VM's monitor ended before it had answered. */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
  /** Exit status of the command line. */
  readonly exitStatus = 4;

  /** @param vm the name of the VM */
  constructor(readonly vm: string, options?: ErrorOptions) {
    super(`The monitor of the VM "${vm}" ended before it had answered.`, options);
  }
}

/** A VM could not be started. */
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
