// The lab: a QEMU guest in which KVM is real, for tests and benchmarks on machines without it.
export { type LabProcess, type OnOutput } from "./agent_client.ts";
export { execute, findTool, findToolIfPresent, ToolError } from "./execute.ts";
export { LabDiedError } from "./lab_died_error.ts";
export { runInLab, type RunInLabOptions } from "./run_in_lab.ts";
export { type LabCommand, type LabOptions, type LabResult, LabSession, TREE } from "./session.ts";
export { GUEST_READY, guestScript, type TestGuest, testGuest } from "./test_guest.ts";
export { busyboxInitrd } from "./userland.ts";
