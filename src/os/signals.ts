import type { Fd } from "./fd.ts";
import { library, monitor } from "./library.ts";
import { check } from "./os_error.ts";

/** Makes {@link kickThread} interrupt system calls instead of ending the process. Once per process. */
export function installKickSignal(): void {
  check(monitor().sp_install_kick(), "install", "the kick signal");
}

/** The kernel's id of the calling thread. */
export function threadId(): number {
  return monitor().sp_thread_id();
}

/**
 * Ends the system call that a thread of this process is in: it returns EINTR. A kick that comes
 * before the call is lost, so say in shared memory what is wanted before kicking.
 */
export function kickThread(thread: number): void {
  check(monitor().sp_kick(thread), "interrupt", `thread ${thread}`);
}

/**
 * Ignores SIGUSR1, at which the runtime would open a debugger port without a password. Call it first
 * of all, on the main thread; once is enough.
 */
export function ignoreInspectorSignal(): void {
  // The runtime installs its handler half a second after its start, over whatever is there, but only
  // if it has none yet for this signal. So it gets to install one now, and that is then overridden.
  const nothing = () => {};
  Deno.addSignalListener("SIGUSR1", nothing);
  Deno.removeSignalListener("SIGUSR1", nothing);
  check(library().sp_ignore_inspector(), "ignore", "SIGUSR1");
}

/**
 * SIGHUP, SIGINT and SIGTERM do what they do by default: they end the process, unless it is the first one of its
 * namespace, which ignores them.
 */
export function resetEndingSignals(): void {
  check(library().sp_reset_ending_signals(), "reset", "signals");
}

/** Keeps other processes of this user from reading this one's memory or attaching to it. */
export function forbidInspection(): void {
  check(library().sp_not_dumpable(), "protect", "this process");
}

/** From here on no memory becomes code, where the kernel can see to that (Linux 6.3). */
export function forbidNewCode(): void {
  check(library().sp_no_new_code(), "keep", "memory from becoming code");
}

/**
 * Lets a seccomp filter (struct sock_filter after struct sock_filter) decide about the system calls of all threads of
 * this process, or of the calling one and what it starts, for good.
 */
export function filterCalls(filter: Uint8Array<ArrayBuffer>, whose: "all" | "own" = "all"): void {
  const result = library().sp_filter_calls(filter, filter.length / 8, whose === "all" ? 1 : 0);
  check(result, "filter", "system calls");
}

/** A system call at which a filter traps is named on standard error, with its arguments; the process ends with 159. */
export function nameForbiddenCalls(names: readonly string[]): void {
  const text = new TextEncoder().encode(names.map((name) => `${name}\0`).join(""));
  check(library().sp_name_calls(text, text.length), "name", "forbidden system calls");
}

/** Enters a vCPU for at most so many milliseconds. Returns 0, or -EINTR when the time was over. */
export function kvmRunLimited(vcpu: Fd, milliseconds: number): number {
  return monitor().sp_kvm_run_limited(vcpu.raw(), milliseconds);
}
