import type { Policy } from "../sandbox/mod.ts";
import { blkPolicy } from "./blk/policy.ts";
import { consolePolicy } from "./console/policy.ts";
import { netPolicy } from "./net/policy.ts";
import { rngPolicy } from "./rng/policy.ts";
import { vsockPolicy } from "./vsock/policy.ts";
import { wlPolicy } from "./wl/policy.ts";
import type { WorkerSetUp } from "./worker_messages.ts";

/** The jail of each kind of device. */
export const policies: Readonly<Record<WorkerSetUp["device"]["kind"], Policy>> = {
  blk: blkPolicy,
  console: consolePolicy,
  net: netPolicy,
  rng: rngPolicy,
  vsock: vsockPolicy,
  wl: wlPolicy,
};
