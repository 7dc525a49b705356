/** The ways in which this host cannot run a machine. */
export type HostErrorReason =
  | "no-device"
  | "no-permission"
  | "not-kvm"
  | "old-kernel"
  | "busy"
  | "too-many-vcpus"
  | "emulated"; // KVM answers, but interprets the guest instruction by instruction

/** What this host lacks; the message says what to do about it. The exit status class is "host cannot do it". */
export class HostError extends Error {
  override readonly name = "HostError";
  constructor(readonly reason: HostErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
