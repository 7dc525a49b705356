import { hex } from "./describe_device.ts";
import type { DeviceParts } from "./device_parts.ts";
import { MachineError } from "./outcome.ts";

/**
 * A restored driver goes on with what it was offered; the device must still be that.
 *
 * @throws {MachineError} when it is not
 */
export function checkRestored(
  { name, kind }: DeviceParts,
  saved: { accepted: bigint; queueCount: number; config: Uint8Array },
  now: { features: bigint; queueCount: number; config: Uint8Array },
): void {
  const refuse = (reason: string) => {
    throw new MachineError("usage", `The device ${name} cannot be restored: ${reason}.`);
  };
  const missing = saved.accepted & ~now.features;
  if (missing !== 0n) refuse(`its backend lacks features that the guest uses (${hex(missing)})`);
  if (saved.queueCount > now.queueCount) {
    refuse(`it has ${now.queueCount} queues, and had ${saved.queueCount}`);
  }
  const reason = kind.difference?.(saved.config, now.config);
  if (reason !== undefined) refuse(reason);
}
