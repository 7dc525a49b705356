/** The jail of worker processes: starts them with exactly what they need, and takes the rest away. */

export type { ArgumentRule, CallRule, Named } from "./call_rule.ts";
export { compileFilter, type OtherCalls } from "./call_filter.ts";
export { type SandboxMode, sandboxModes } from "./jail.ts";
export type { JailFile, Measure, Namespace, Policy, Reasoned, Resource } from "./policy.ts";
export { explainPolicy } from "./explain_policy.ts";
export { Child, Starter, type StartOptions } from "./starter.ts";
export { NewSnapshot, type SocketPath, StarterPaths } from "./starter_paths.ts";
export { StartError, type StartStage } from "./start_error.ts";
export { lockDown, type PermissionName, permissionNames, permissionsLeft } from "./lock_down.ts";
export { type Attempt, escapeAttempts } from "./escape_attempts.ts";
export { type SystemCall, systemCallNames, systemCallNumber } from "./system_calls.ts";
export { INTERPRET_ONLY, makesNoCode, workerEnvironment } from "./worker_environment.ts";
