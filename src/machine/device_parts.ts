import type { SharedMemoryPlan } from "../pci/mod.ts";
import type { Backend } from "./backend.ts";
import type { DeviceKind } from "./device_kind.ts";

/** What a device is made of. */
export interface DeviceParts {
  readonly name: string;
  readonly kind: DeviceKind;
  readonly backend: Backend;
  readonly maxQueues: number;
  readonly sharedMemory?: SharedMemoryPlan;
  /** What happened to the device since its VM started, over all power cycles. */
  readonly history: DeviceHistory;
}

/** See {@linkcode DeviceParts.history}. */
export interface DeviceHistory {
  restarts: number;
}
