import type { Policy } from "../sandbox/mod.ts";
import { runtimeCalls } from "./runtime_calls.ts";
import { vhostCalls } from "./vhost_calls.ts";

/** What a kind of device gets beyond what each of them does, or instead. */
export interface KindPolicy {
  readonly descriptors: Policy["descriptors"];
  readonly files?: Policy["files"];
  /** Whether its engine may compile what runs often, as it does by default. One that nobody waits for does without. */
  readonly compiles?: false;
  readonly calls?: Policy["calls"];
}

const noNewCode: Policy["measures"][number] = {
  measure: "no new code",
  why: "the engine's place for code could be written to; it is fast enough without",
};

/** The policy of a device's worker: what the runtime needs, and what its kind adds. */
export function workerPolicy(name: string, kind: KindPolicy): Policy {
  const compiles = kind.compiles ?? true;
  return {
    name,
    user: { is: "own", why: "it owns no file and no other process, of this VM or of another" },
    descriptors: [
      { what: "its message socket", why: "its monitor says there what it is, and ends it" },
      { what: "its frontend's connection", why: "vhost-user" },
      { what: "the guest's memory", why: "requests and their data are there" },
      { what: "the monitor's error output", why: "it says what is wrong" },
      ...kind.descriptors,
    ],
    namespaces: [
      { namespace: "user", why: "an ordinary user may make the others only inside of one" },
      { namespace: "mount", why: "it has a root of its own, which nobody can write to" },
      { namespace: "process", why: "it sees no other process, and ends with all that it starts" },
      { namespace: "network", why: "it has no interface, nor ports, nor abstract sockets" },
      { namespace: "ipc", why: "it sees no queues and no memory of others" },
      { namespace: "host name", why: "the host's name tells where it runs" },
      { namespace: "cgroup", why: "the path of its group tells where it runs" },
    ],
    files: [
      { file: "runtime", right: "execute", why: "it is what runs" },
      { file: "loader", right: "execute", why: "the runtime is linked dynamically" },
      { file: "libraries", right: "read", why: "the runtime is linked with them" },
      { file: "shim", right: "read", why: "system calls that a script cannot make" },
      { file: "bundle", right: "read", why: "the script that it runs" },
      ...kind.files ?? [],
    ],
    limits: [
      {
        resource: "data",
        most: compiles ? 2 ** 30 : 2 ** 29,
        why: (compiles ? "the engine sets aside half of it for code; " : "") +
          "a heap that leaks ends itself, not the host",
      },
      {
        resource: "processes",
        most: 512,
        why: "threads of the runtime, of all workers of a VM that root runs",
      },
      { resource: "message queues", most: 0, why: "it uses none" },
      { resource: "niceness", most: 0, why: "it does not go before others" },
      { resource: "real-time priority", most: 0, why: "it does not go before others" },
    ],
    measures: [
      { measure: "no capabilities", why: "nothing that it does needs one" },
      { measure: "landlock", why: "the files once more, should the root have a hole" },
      ...(compiles ? [] : [noNewCode]),
    ],
    // The first rules are the first to be compared with; the runtime's has the last word on ioctl.
    calls: [...vhostCalls, ...kind.calls ?? [], ...runtimeCalls],
  };
}
