import { workerPolicy } from "../policy.ts";

/** The jail of a disk. */
export const blkPolicy = workerPolicy("blk", {
  descriptors: [
    { what: "its disk", why: "a file or block device, open for reading only or for writing, too" },
  ],
  calls: [
    {
      calls: ["io_uring_enter"],
      why:
        "requests to the disk; its ring, made before, knows no other file and nothing but reads, writes and syncs",
    },
    {
      calls: ["pread64", "pwrite64", "preadv", "pwritev", "fdatasync"],
      why: "the same where the host has no io_uring, and what a ring refuses",
    },
    { calls: ["fallocate"], why: "the guest discards blocks of a file, or wants zeros there" },
    {
      calls: ["ioctl"],
      when: [{
        argument: 1,
        what: "the request",
        among: { BLKDISCARD: 0x1277, BLKZEROOUT: 0x127f },
      }],
      why: "the same of a block device",
    },
  ],
});
