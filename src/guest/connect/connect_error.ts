import { OsError } from "../../os/mod.ts";

/** What keeps a guest from reaching its host. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";

  /** @param exitStatus what a command ends with: 1 for the user's, 2 for what this guest lacks */
  constructor(message: string, readonly exitStatus: 1 | 2, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Why the device cannot be opened, and what to do. */
export function noDevice(error: unknown): unknown {
  if (!(error instanceof OsError)) return error;
  const advice = error.code === "ENOENT"
    ? 'This guest has no Virtio Wayland: it takes [wl.sockets] in the file of the VM, on the host, and a kernel with the driver virtio_wl (kernel = "small" has it)'
    : error.code === "EACCES" || error.code === "EPERM"
    ? "Run this as root, or as a user who may open it"
    : undefined;
  if (advice === undefined) return error;
  return new ConnectError(`${error.message}. ${advice}.`, 2, { cause: error });
}

/** Why the host did not connect us to a socket of its own, as a sentence. */
export function noContext(name: string, error: OsError): string {
  switch (error.code) {
    case "ENOENT":
      return `The host has no socket "${name}" for this VM: [wl.sockets] in the file of the VM names those that it has`;
    case "ENOMEM":
    case "ENOSPC":
    case "EMFILE":
      return `${error.message}; this VM has as many contexts or descriptors as it may`;
    default:
      return `The host cannot connect "${name}" (${error.code}): is whoever serves it running there?`;
  }
}
