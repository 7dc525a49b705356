/**
 * Permissions that nobody misses on Linux 6.18 with glibc 2.36 (Debian 12) and Deno 2.9, by the names of their mutations:
 * who asks for them, and how that was seen.
 */
export const NOT_MET: Readonly<Record<string, string>> = {
  "fstat":
    "later C libraries call it where this one calls newfstatat: seen of glibc 2.41 and 2.43 under Deno",
  "mmap MAP_DROPPABLE|MAP_ANONYMOUS":
    "later C libraries keep the state of random numbers there, with flags that the kernel tells (Linux 6.11): seen of glibc 2.41 under Deno",
  "clock_gettime":
    "where the vDSO cannot read the clock it makes the call: seen of Deno that was started without a vDSO (no AT_SYSINFO_EHDR)",
  "gettimeofday": "the same, for the time of day",
  "sched_yield":
    "a thread whose lock is held by one that does not run gives way: seen of the engine's main thread under this filter when strace slowed it down",
};
