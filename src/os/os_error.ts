import { errorCode, errorText } from "./errno.ts";

/**
 * A system call that failed: what was attempted, on what, and why.
 *
 * @example
 * ```ts
 * import { listenUnix } from "spectrum";
 *
 * try {
 *   using _listening = listenUnix("/nowhere/socket");
 * } catch (error) {
 *   if (!(error instanceof OsError)) throw error;
 *   console.log(error.code, error.message);
 * }
 * ```
 */
export class OsError extends Error {
  override readonly name = "OsError";
  /** The symbolic error, such as `ENOENT`. */
  readonly code: string;

  /**
   * @param operation what was attempted, as in "Cannot OPERATION"
   * @param subject on what; may be empty
   * @param errno the positive error number
   */
  constructor(readonly operation: string, readonly subject: string, readonly errno: number) {
    super(`Cannot ${operation}${subject === "" ? "" : ` ${subject}`}: ${errorText(errno)}`);
    this.code = errorCode(errno);
  }
}

/**
 * Hands on a result of the shim.
 *
 * @throws OsError when it is a negative error number
 */
export function check(result: number, operation: string, subject = ""): number {
  if (result < 0) throw new OsError(operation, subject, -result);
  return result;
}
