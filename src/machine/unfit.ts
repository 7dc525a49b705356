import type { Activation } from "../pci/mod.ts";
import type { Negotiated } from "../vhost/mod.ts";
import { hex } from "./describe_device.ts";

/** Why a backend with this offer cannot go on for a driver that uses the device, if it cannot. */
export function unfit(
  activation: Activation | undefined,
  { features, queueCount }: Negotiated,
): string | undefined {
  if (activation === undefined) return undefined;
  const missing = activation.features & ~features;
  if (missing !== 0n) return `A new backend lacks features that the guest uses (${hex(missing)})`;
  const used = Math.max(0, ...activation.queues.map(({ index }) => index + 1));
  if (used <= queueCount) return undefined;
  return `A new backend has ${queueCount} queues, and the guest uses ${used}`;
}
