import { Fd, type Owned } from "./fd.ts";
import { monitor } from "./library.ts";
import { check } from "./os_error.ts";

/**
 * A device request. A byte array is read and written by the kernel.
 *
 * @throws OsError
 */
export function ioctl(fd: Fd, request: number, argument: number | Uint8Array = 0): number {
  const result = typeof argument === "number"
    ? monitor().sp_ioctl(fd.raw(), request, argument)
    : monitor().sp_ioctl_buffer(fd.raw(), request, argument as Uint8Array<ArrayBuffer>);
  return check(result, "perform", `device request 0x${request.toString(16)}`);
}

/** As {@link ioctl} with a number; a negative error number instead of an exception. */
export function ioctlRaw(fd: Fd, request: number, argument: number): number {
  return monitor().sp_ioctl(fd.raw(), request, argument);
}

/** A device request that answers with a new descriptor. */
export function ioctlFd(fd: Fd, request: number, argument: number | Uint8Array = 0): Owned<Fd> {
  const made = Fd.own(ioctl(fd, request, argument));
  monitor().sp_set_cloexec(made.raw());
  return made;
}

/** A device request whose structure lies in the window. Returns the result or a negative error number. */
export function ioctlAt(fd: Fd, request: number, windowOffset: number): number {
  return monitor().sp_ioctl_window(fd.raw(), request, windowOffset);
}
