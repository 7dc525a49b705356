/** What a virtio function remembers in shared state. */
import { array, bytes, struct, u16, u32, u64, u8 } from "../codec/mod.ts";
import { MAX_CONFIG_SIZE } from "./virtio_layout.ts";

/** How far guest and control thread are with each other. */
export const Phase = {
  /** No driver, or one that is still setting up: the backend is stopped. */ Idle: 0,
  /** The driver is ready, and the control thread does not know yet. */ Activating: 1,
  /** The control thread has started the backend, or is about to. */ Active: 2,
  /** The driver wants a reset, and status stays non-zero until the backend has stopped. */ Resetting:
    3,
} as const;

/** What waits for the control thread. */
export const Attention = { Activate: 1, Reset: 2, Fault: 4 } as const;

/** What went wrong with a device; the first since its reset is told. */
export const Fault = {
  None: 0,
  /** DRIVER_OK without FEATURES_OK */ DriverOkTooEarly: 1,
  /** A queue size that is zero, too large, or no power of two. */ QueueSize: 2,
  /** A ring unaligned or outside of memory. */ QueueAddress: 3,
  /** The backend broke the protocol. */ Backend: 4,
  /** The host refused an interrupt route or irqfd. */ Interrupt: 5,
  /** The host refused an ioeventfd; kicks go the slow way. */ Doorbell: 6,
  /** The host refused memory where the guest put the BAR. */ SharedMemory: 7,
} as const;

/** One of {@linkcode Fault}'s values. */
export type FaultCode = typeof Fault[keyof typeof Fault];

/** A queue's registers, and what a restarted backend must know. */
export const QueueState = struct({
  /** What the device offers; 0 when the queue does not exist. */
  maxSize: u16,
  size: u16,
  enabled: u8,
  /** An ioeventfd is registered at the doorbell base. */
  doorbell: u8,
  reserved: u16,
  desc: u64,
  driver: u64,
  device: u64,
  /** Where in the available ring a backend continues. */
  base: u32,
  reserved2: u32,
});

/** A write to device-specific configuration that the control thread has not seen. */
export const ConfigWrite = struct({ offset: u16, size: u16, value: u32 });

/** Writes that are remembered; a driver makes one and waits. */
export const CONFIG_WRITES = 16;

/** The registers of the transport. */
export const DeviceState = struct({
  phase: u8,
  status: u8,
  generation: u8,
  isr: u8,
  attention: u8,
  fault: u8,
  queueSelect: u16,
  queueCount: u16,
  configSize: u16,
  deviceFeatureSelect: u32,
  driverFeatureSelect: u32,
  offeredLow: u32,
  offeredHigh: u32,
  driverLow: u32,
  driverHigh: u32,
  configWriteHead: u16,
  configWriteCount: u16,
  /** Address of the first doorbell as registered with KVM, 0 for none. */
  doorbells: u64,
  config: bytes(MAX_CONFIG_SIZE),
  configWrites: array(ConfigWrite, CONFIG_WRITES),
});
