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
});
