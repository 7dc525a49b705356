import { lazy } from "./lazy.ts";

export default lazy<typeof import("node:fs")>("node:fs");
