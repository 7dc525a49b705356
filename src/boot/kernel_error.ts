/** The ways in which a kernel or its companions cannot be booted. */
export type KernelErrorReason =
  | "missing" // the file cannot be opened
  | "not-a-kernel"
  | "32-bit"
  | "too-old" // boot protocol before 2.12
  | "truncated"
  | "no-pvh" // an ELF kernel without a PVH entry
  | "malformed" // headers that contradict themselves
  | "does-not-fit" // the kernel needs more memory
  | "initrd-missing"
  | "initrd-does-not-fit"
  | "bad-cmdline"; // too long, or with a NUL

/** Why a kernel cannot be booted; the message names the file and what to do. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  constructor(
    readonly reason: KernelErrorReason,
    /** The file (or a stand-in for it) that is to blame. */
    readonly subject: string,
    detail: string,
    options?: ErrorOptions,
  ) {
    const attempt = reason.startsWith("initrd") ? "load the initrd" : "boot";
    super(`Cannot ${attempt} ${subject}: ${detail}`, options);
  }
}
