/** Permissions that nobody missed on Linux 6.18 with glibc 2.36, by the names of their mutations, and who asks for them. */
export const NOT_MET: Readonly<Record<string, string>> = {
  "fstat": "later C libraries",
  "mmap MAP_DROPPABLE|MAP_ANONYMOUS": "later C libraries, for random numbers",
  "wl: readv": "what knows no RWF_NOWAIT",
};
