import { policies } from "../../src/devices/mod.ts";
import type { Policy } from "../../src/sandbox/mod.ts";

declare global {
  /** Set by the first line of a worker's script, for tests. */
  var changedPolicy: Policy | undefined;
}

if (globalThis.changedPolicy !== undefined) changePolicy(globalThis.changedPolicy);

/** From here on this is the policy of its kind, in this process. */
export function changePolicy(policy: Policy): void {
  Object.assign(policies, { [policy.name]: policy });
}
