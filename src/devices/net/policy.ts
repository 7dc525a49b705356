import { workerPolicy } from "../policy.ts";

/** The jail of a network device: it has no network, only its end. */
export const netPolicy = workerPolicy("net", {
  descriptors: [
    { what: "queues of its tap", why: "packets come and go there, where the end is a tap" },
    { what: "a stream to passt", why: "packets come and go there, where the end is passt" },
  ],
});
