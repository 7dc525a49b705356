import { lazy } from "./lazy.ts";

const crypto = lazy<typeof import("node:crypto")>("node:crypto");

/** As in `node:crypto`, which is loaded by the first call. */
export const createHash: typeof crypto.createHash = (...args) => crypto.createHash(...args);
