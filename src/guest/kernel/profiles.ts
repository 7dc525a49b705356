import base from "./config/base.config" with { type: "text" };
import app from "./config/app.config" with { type: "text" };
import debug from "./config/debug.config" with { type: "text" };
import device from "./config/device.config" with { type: "text" };
import { hardeningFragment } from "./hardening.ts";

/** The kinds of kernel that can be built. */
export const profiles = ["app", "device", "debug"] as const;

/** What a kernel is for: `app` for people's VMs, `device` for those that only provide, `debug` for testing drivers. */
export type Profile = typeof profiles[number];

/** Whether a word names a profile. */
export function isProfile(word: string): word is Profile {
  return (profiles as readonly string[]).includes(word);
}

/** Fragments beside the base, in the order in which they apply; of an option set twice the last counts. */
const FRAGMENTS: Readonly<Record<Profile, readonly string[]>> = {
  app: [app],
  device: [device],
  debug: [app, debug],
};

/**
 * How many files a build compiles, from the last one that was counted; it only serves the display, and need not be
 * exact.
 */
export const filesToCompile: Readonly<Record<Profile, number>> = {
  app: 1580,
  device: 1430,
  debug: 1650,
};

/** Everything that a profile asks of the kernel's configuration, as lines of a `.config`. */
export function profileFragment(profile: Profile): string {
  return [base, hardeningFragment(profile), ...FRAGMENTS[profile]].join("\n");
}
