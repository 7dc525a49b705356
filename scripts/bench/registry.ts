import type { Bench } from "./measurement.ts";

/** The benchmarks by name. Loaded when asked for, since each brings half the program along. */
export const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  boot: async () => (await import("./boot.ts")).boot,
  restore: async () => (await import("./restore.ts")).restore,
  wl: async () => (await import("./wl.ts")).wl,
  vsock: async () => (await import("./vsock.ts")).vsock,
  "device-vm": async () => (await import("./device_vm.ts")).deviceVm,
  net: async () => (await import("./net.ts")).net,
  jail: async () => (await import("./jail.ts")).jail,
  blk: async () => (await import("./blk.ts")).blk,
};
