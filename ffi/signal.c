// Part of shim.c: what signals do.

#include <signal.h>

// SIGUSR1 opens an inspector in the runtime, for anyone on this host. sigaction has a layout of libc.
EXPORT int sp_ignore_inspector(void) {
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  return result(sigaction(SIGUSR1, &ignore, NULL));
}

// The runtime has handlers of its own for these, which make system calls that a filter kills for.
EXPORT int sp_reset_ending_signals(void) {
  static const int ends[] = {SIGHUP, SIGINT, SIGTERM};
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
    if (sigaction(ends[i], &standard, NULL)) return -errno;
  return 0;
}
