/** Permissions that nobody missed on Linux 6.18 with glibc 2.36, by the names of their mutations, and who asks for them. */
export const NOT_MET: Readonly<Record<string, string>> = {
  "fstat": "later C libraries",
  "mmap MAP_DROPPABLE|MAP_ANONYMOUS": "later C libraries, for random numbers",
  "mmap MAP_STACK": "threads of the engine that are only just made",
  "mmap MAP_FIXED_NOREPLACE": "the engine, rarely",
  "futex FUTEX_WAKE_BITSET_PRIVATE": "other C libraries",
  "futex FUTEX_WAIT_BITSET": "who waits for the end of a thread",
  "wl: readv": "what knows no RWF_NOWAIT",
  "fcntl F_SETFD": "a frontend's descriptors, where receiving does not set it",
};
