import { lazy } from "./lazy.ts";

export default lazy<typeof import("node:child_process")>("node:child_process");
