import type { CallRule } from "./call_rule.ts";

/** A namespace of Linux. */
export type Namespace = "user" | "mount" | "process" | "network" | "ipc" | "host name" | "cgroup";

/** A file of a process's root. */
export type JailFile =
  /** The runtime's executable. */
  | "runtime"
  /** The dynamic linker. */
  | "loader"
  /** The C library's. */
  | "libraries"
  /** The native library. */
  | "shim"
  /** Its script. */
  | "bundle"
  /** A `/proc` of its own, which shows this process alone. */
  | "proc";

/** A resource of setrlimit. */
export type Resource =
  | "data"
  | "processes"
  | "message queues"
  | "niceness"
  | "real-time priority";

/** A measure that is taken once. */
export type Measure =
  /** Landlock: the files once more, no ports, no abstract sockets, no signals to others. */
  | "landlock"
  /** No capability, in no way. */
  | "no capabilities"
  /** Its engine interprets only, and what is memory never becomes code (MDWE, where the kernel has it: Linux 6.3). */
  | "no new code";

/** Something that a process is given, or kept from. */
export interface Reasoned {
  readonly why: string;
}

/**
 * What one kind of process may do, as data beside it: the starter enforces it, `spectrum device KIND --explain` prints
 * it, and the tests go through it entry by entry.
 */
export interface Policy {
  /** Who it is for. */
  readonly name: string;
  /** Who it runs as when root starts it. */
  readonly user: Reasoned & { readonly is: "own" | "nobody" };
  /** What it is handed. */
  readonly descriptors: readonly (Reasoned & { readonly what: string })[];
  /** What it has of its own. */
  readonly namespaces: readonly (Reasoned & { readonly namespace: Namespace })[];
  /** All that its root holds. */
  readonly files: readonly (Reasoned & {
    readonly file: JailFile;
    readonly right: "read" | "execute";
  })[];
  readonly limits: readonly (Reasoned & { readonly resource: Resource; readonly most: number })[];
  readonly measures: readonly (Reasoned & { readonly measure: Measure })[];
  /** All system calls that it makes once it is locked; any other ends it. Without rules it is not watched. */
  readonly calls: readonly CallRule[];
}
