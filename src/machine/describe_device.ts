import type { DeviceParts } from "./device_parts.ts";
import type { DeviceInfo } from "./vm_control.ts";

/** What there is to say of a device that no guest uses yet. */
export function describeDevice(
  { name, kind, backend, history, vsock }: DeviceParts,
): DeviceInfo {
  const { pid, permissions, away, net, limit } = backend;
  return {
    name,
    kind: kind.name,
    backend: backend.kind,
    state: "away",
    ...(away === undefined ? {} : { away }),
    ...(pid === undefined ? {} : { pid }),
    permissions,
    ...(vsock === undefined ? {} : { vsock }),
    restarts: history.restarts,
    queues: [],
    features: hex(0n),
    ...(net === undefined ? {} : { net }),
    ...(limit === undefined ? {} : { limit }),
  };
}

/** A set of bits for a person. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
