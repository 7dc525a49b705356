import { ConfigError } from "../config/mod.ts";
import { KernelError } from "../boot/mod.ts";
import { FetchError, ImageError, KernelBuildError } from "../guest/mod.ts";
import { HostError } from "../kvm/mod.ts";
import { MachineError } from "../machine/mod.ts";

/** Exit status of `spectrum`, by class of failure; 130 is what shells give for Ctrl-C. */
export const ExitStatus = {
  Ok: 0,
  Usage: 1,
  Host: 2,
  Guest: 3,
  Internal: 4,
  Interrupted: 130,
} as const;

/** The user ended a command that can be repeated. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

const HOST_ERRORS = [HostError, KernelBuildError, FetchError];
const BY_FAULT = {
  usage: ExitStatus.Usage,
  host: ExitStatus.Host,
  internal: ExitStatus.Internal,
} as const;

/** The exit status that an error stands for; what nobody foresaw is internal. */
export function exitStatusOf(error: unknown): number {
  if (error instanceof ConfigError || error instanceof KernelError) return ExitStatus.Usage;
  if (HOST_ERRORS.some((kind) => error instanceof kind)) return ExitStatus.Host;
  if (error instanceof Interrupted) return ExitStatus.Interrupted;
  if (error instanceof MachineError || error instanceof ImageError) return BY_FAULT[error.fault];
  // Errors of the control plane, which is loaded only when it is used.
  if (error instanceof Error && "exitStatus" in error && typeof error.exitStatus === "number") {
    return error.exitStatus;
  }
  if (error instanceof Error && error.name === "VmStateError") return ExitStatus.Usage;
  return ExitStatus.Internal;
}
