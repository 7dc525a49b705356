import { workerPolicy } from "../policy.ts";

/** The jail of a network device: it has no network, only its end. */
export const netPolicy = workerPolicy("net", {
  descriptors: [
    { what: "queues of its tap", why: "packets come and go there, where the end is a tap" },
    { what: "a stream to passt", why: "packets come and go there, where the end is passt" },
  ],
  calls: [
    { calls: ["readv", "writev"], why: "packets come and go" },
    {
      calls: ["ioctl"],
      when: [{
        argument: 1,
        what: "the request",
        among: {
          TUNGETIFF: 0x8004_54d2,
          TUNGETVNETHDRSZ: 0x8004_54d7,
          TUNSETOFFLOAD: 0x4004_54d0,
          TUNSETQUEUE: 0x4004_54d9,
        },
      }],
      why: "a tap is told what its guest understands, and which of its queues are in use",
    },
  ],
});
