import { workerPolicy } from "../policy.ts";

/** The jail of a console. */
export const consolePolicy = workerPolicy("console", {
  descriptors: [
    { what: "its output", why: "a pipe, socket or file for what the guest writes" },
    { what: "its input, if it has one", why: "a pipe or socket for what the guest reads" },
  ],
  compiles: false,
  calls: [{ calls: ["readv", "writev"], why: "text comes and goes" }],
});
