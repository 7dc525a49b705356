import type { SharedMemoryPlan } from "../pci/mod.ts";
import type { Backend } from "./backend.ts";
import type { DeviceKind } from "./device_kind.ts";
import type { DoorbellHost } from "./doorbell_host.ts";

/** What a device is made of. */
export interface DeviceParts {
  readonly name: string;
  readonly kind: DeviceKind;
  readonly backend: Backend;
  readonly maxQueues: number;
  readonly sharedMemory?: SharedMemoryPlan;
  /** Of the device by which events cross. */
  readonly doorbells?: DoorbellHost;
  /** Of a socket device: the guest's context id, and where programs of the host connect to the guest. */
  readonly vsock?: { readonly cid: number; readonly socket: string };
  /** What happened to the device since its VM started, over all power cycles. */
  readonly history: DeviceHistory;
}

/** See {@linkcode DeviceParts.history}. */
export interface DeviceHistory {
  restarts: number;
}
