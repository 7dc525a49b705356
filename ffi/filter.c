// Part of shim.c: the last step of a worker's lock, a filter of system calls.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/syscall.h>

// libc has no seccomp. For the calling thread, or (TSYNC) for all that run already, too.
EXPORT int sp_filter_calls(const void *instructions, uint32_t count, int all) {
  struct sock_fprog program = {(unsigned short)count, (struct sock_filter *)instructions};
  if (count > 0xffff) return -EINVAL;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -errno;
  long thread = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program);
  return thread > 0 ? -EBUSY : result(thread);
}

static char call_names[8192];

static const char *call_name(int number) {
  const char *name = call_names, *end = call_names + sizeof call_names;
  for (; number > 0 && name < end; number--) name += strlen(name) + 1;
  return name < end && *name ? name : "system call";
}

// Runs where a script cannot: names the call, and ends the process as a shell would tell of SIGSYS.
static void name_call(int signal, siginfo_t *info, void *context) {
  const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  char line[256];
  int n = snprintf(line, sizeof line, "not in its policy: %s(%#llx, %#llx, %#llx, %#llx, %#llx, %#llx), number %d\n",
                   call_name(info->si_syscall), r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9],
                   info->si_syscall);
  (void)!write(2, line, (size_t)n);
  syscall(SYS_exit_group, 128 + signal);
}

// `names` are those of all calls in the order of their numbers, each with its NUL.
EXPORT int sp_name_calls(const char *names, uint32_t length) {
  struct sigaction action = {.sa_sigaction = name_call, .sa_flags = SA_SIGINFO};
  if (length >= sizeof call_names) return -EINVAL;
  memcpy(call_names, names, length);
  return result(sigaction(SIGSYS, &action, NULL));
}
