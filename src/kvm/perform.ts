import { type Fd, ioctl, OsError } from "../os/mod.ts";

/**
 * A device request whose error says what was attempted.
 *
 * @throws OsError
 */
export function perform(
  fd: Fd,
  request: number,
  argument: number | Uint8Array,
  operation: string,
  subject = "",
): number {
  return described(() => ioctl(fd, request, argument), operation, subject);
}

/** Gives an OsError of `call` the words for what was attempted. */
export function described<T>(call: () => T, operation: string, subject = ""): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof OsError) throw new OsError(operation, subject, error.errno);
    throw error;
  }
}
