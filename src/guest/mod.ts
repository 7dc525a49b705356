// What runs inside our guests, and how it is made: kernels, initial RAM disks, init.
export * from "./agent/mod.ts";
export { cacheDir } from "./cache_dir.ts";
export { dataDir } from "./data_dir.ts";
export { FetchError } from "./fetch_error.ts";
export * from "./connect/mod.ts";
export * from "./erofs/mod.ts";
export * from "./image/mod.ts";
export * from "./initrd/mod.ts";
export * from "./kernel/mod.ts";
export * from "./modules/mod.ts";
export * from "./system/mod.ts";
export { guestServe } from "./serve/guest_serve.ts";
export { type Progress, showProgress, silent } from "./progress.ts";
