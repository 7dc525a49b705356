import { workerPolicy } from "../policy.ts";

/** The jail of a disk. */
export const blkPolicy = workerPolicy("blk", {
  descriptors: [
    { what: "its disk", why: "a file or block device, open for reading only or for writing, too" },
  ],
});
