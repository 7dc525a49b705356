import { pathsOf } from "./jail_files.ts";
import type { Measure, Namespace, Policy, Resource } from "./policy.ts";
import type { StartRequest } from "./starter_protocol.ts";

/** CLONE_NEW*. */
const namespaceFlags: Readonly<Record<Namespace, number>> = {
  "mount": 0x0002_0000,
  "cgroup": 0x0200_0000,
  "host name": 0x0400_0000,
  "ipc": 0x0800_0000,
  "user": 0x1000_0000,
  "process": 0x2000_0000,
  "network": 0x4000_0000,
};

/** RLIMIT_*. */
const resourceNumbers: Readonly<Record<Resource, number>> = {
  "data": 2,
  "processes": 6,
  "message queues": 12,
  "niceness": 13,
  "real-time priority": 14,
};

/** As `ffi/jail.c` has them; the last is not the starter's, since the runtime makes code of its own while it starts. */
const measureFlags: Readonly<Record<Measure, number>> = {
  "landlock": 1,
  "no capabilities": 2,
  "no new code": 0,
};

/**
 * How much of the jail there is. `full` is the default; `reduced` does without namespaces and Landlock, for a host that
 * lacks them; `debug` is the full jail, where a worker that makes a system call beyond its policy names it before it ends.
 */
export type SandboxMode = typeof sandboxModes[number];

/** Every {@link SandboxMode}. */
export const sandboxModes = ["full", "reduced", "debug"] as const;

/** Users of VMs that root runs: from here on, one for each starter, by its process id. Nobody else has so high ones. */
const FIRST_USER = 0x7000_0000;
/** Whom a policy calls `nobody`, and the group. */
const NOBODY = 65_534;

/**
 * What the starter is asked to do so that a policy holds.
 *
 * @param starter its process id
 */
export function jailOf(
  policy: Policy,
  mode: SandboxMode,
  starter: number,
): Pick<StartRequest, "user" | "namespaces" | "measures" | "files" | "limits"> {
  const isUserZero = Deno.uid() === 0;
  const isRoot = isUserZero && hasAllUsers();
  const isFull = mode !== "reduced";
  // The right to make the others comes with a user namespace; root has it, and the others belong to root then.
  const namespaces = policy.namespaces.map(({ namespace }) => namespace)
    .filter((name) => isFull && (name !== "user" || !isRoot));
  const measures = policy.measures.map(({ measure }) => measure)
    .filter((name) => isFull || (name === "no capabilities" && isUserZero));
  // Outside of a user namespace and of a user's own number all of a user's processes count.
  const limits = policy.limits.filter(({ resource }) => isFull || resource !== "processes");
  // Another user gets at no file of this one, but at what is put into a root.
  const own = isRoot && namespaces.includes("mount") ? FIRST_USER + starter : undefined;
  return {
    user: policy.user.is === "own" ? own : isUserZero ? NOBODY : undefined,
    limits: limits.map(({ resource, most }) => [resourceNumbers[resource], most]),
    namespaces: union(namespaces, namespaceFlags),
    measures: union(measures, measureFlags),
    files: isFull ? filesOf(policy) : [],
  };
}

let allUsers: boolean | undefined;

/** Root of a container may have few users besides, and is no more than an ordinary user outside of it. */
function hasAllUsers(): boolean {
  return allUsers ??= /^ *0 +0 +4294967295$/m.test(Deno.readTextFileSync("/proc/self/uid_map"));
}

/** Learns what jails of any policy need to know of this process, which may not be able to find out later. */
export function prepareJails(): void {
  hasAllUsers();
  pathsOf("libraries");
}

function filesOf(policy: Policy): string[] {
  const letters = { read: "r", execute: "x" } as const;
  const files = policy.files.flatMap(({ file, right }) =>
    pathsOf(file).map((path) => `${letters[right]}${path}`)
  );
  return [...new Set(files)];
}

function union<T extends string>(names: readonly T[], flags: Readonly<Record<T, number>>): number {
  return names.reduce((all, name) => all | flags[name], 0);
}
