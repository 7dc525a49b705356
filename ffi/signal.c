// Part of shim.c: signals that must not do what they do by default.

#include <signal.h>

// SIGUSR1 opens an inspector in the runtime, for anyone on this host. sigaction has a layout of libc.
EXPORT int sp_ignore_inspector(void) {
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  return result(sigaction(SIGUSR1, &ignore, NULL));
}
