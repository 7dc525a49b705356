import { workerPolicy } from "../policy.ts";

/** The jail of a source of random numbers: these come from a system call. */
export const rngPolicy = workerPolicy("rng", { descriptors: [], compiles: false });
