import { workerPolicy } from "../policy.ts";

/** The jail of a socket device: whoever it connects a guest to is connected by the monitor. */
export const vsockPolicy = workerPolicy("vsock", {
  descriptors: [
    { what: "a socket that listens", why: "programs of the host connect there to the guest" },
    { what: "connections", why: "the monitor opens each that the guest wants and may have" },
  ],
  calls: [
    { calls: ["readv"], why: "data come; they go as messages" },
    { calls: ["shutdown"], why: "one direction of a connection ends" },
  ],
});
