import { workerPolicy } from "../policy.ts";

/** The jail of Virtio Wayland: whoever it connects a guest to is connected by the monitor. */
export const wlPolicy = workerPolicy("wl", {
  descriptors: [
    { what: "connections", why: "the monitor opens each that the guest wants and may have" },
    { what: "what guest and host send each other", why: "memory, pipes, sockets and events" },
  ],
  files: [
    { file: "proc", right: "read", why: "an event that a peer sends is told by its link there" },
  ],
  calls: [
    { calls: ["readv", "writev", "pwritev2"], why: "data come and go" },
    { calls: ["getsockopt", "readlink"], why: "of what kind a descriptor is that a peer sends" },
    { calls: ["pipe2"], why: "the guest makes pipes" },
    {
      calls: ["ioctl"],
      when: [{ argument: 1, what: "the request", among: { SIOCOUTQ: 0x5411 } }],
      why: "whether a peer has taken what was sent, before more follows",
    },
  ],
});
