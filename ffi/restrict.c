// Part of shim.c: a monitor gives up paths. Landlock restricts the thread that asks and those that it makes, and the
// runtime's run already; so each of them is sent a signal, and asks by itself.

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "landlock.c"

#define RESTRICT (SIGRTMIN + 6) // SIGRTMIN is a function of libc

enum { MOST_THREADS = 1024, PATIENCE_MS = 10000 };

EXPORT int sp_landlock_rules(void) { return landlock_rules(1 /* abstract sockets; signals stay within the process */); }

// `path` may lead through /proc/self/fd. Only rights that a file can have are allowed to what is no folder.
EXPORT int sp_landlock_allow(int rules, const char *path, uint32_t rights) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return -errno;
  int outcome = landlock_allow(rules, fd, rights);
  close(fd);
  return outcome;
}

static int restricting;
static atomic_int refused;
static struct {
  pid_t thread;
  atomic_int is_done;
} threads[MOST_THREADS];

static int restrict_this_thread(void) {
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : landlock_restrict(restricting);
}

static void restrict_thread(int signal) {
  (void)signal;
  int saved = errno, outcome = restrict_this_thread();
  if (outcome) atomic_store(&refused, outcome);
  for (int i = 0; i < MOST_THREADS && threads[i].thread; i++)
    if (threads[i].thread == gettid()) atomic_store(&threads[i].is_done, 1);
  errno = saved;
}

// Until the first `count` threads have done it, or have ended.
static int await_threads(int count) {
  const struct timespec look = {0, 200000};
  for (int i = 0, waited = 0; i < count; i++) {
    while (!atomic_load(&threads[i].is_done) && !syscall(SYS_tgkill, getpid(), threads[i].thread, 0)) {
      if (waited++ > PATIENCE_MS * 5) return -ETIMEDOUT;
      nanosleep(&look, NULL);
    }
  }
  return atomic_load(&refused);
}

// Signals the threads that are not among the first `count`, and adds them. Returns how many they are then.
static int signal_threads(DIR *tasks, int count) {
  rewinddir(tasks);
  for (struct dirent *entry; (entry = readdir(tasks));) {
    pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
    int is_known = thread <= 0;
    for (int i = 0; i < count; i++) is_known |= threads[i].thread == thread;
    if (is_known) continue;
    if (count == MOST_THREADS) return -E2BIG;
    threads[count++].thread = thread;
    syscall(SYS_tgkill, getpid(), thread, RESTRICT); // fails for one that has just ended
  }
  return count;
}

// Restricts all threads of this process, for good. A thread that an unrestricted one has just made is found by the next
// look; those that restricted ones make are restricted. Once per process.
EXPORT int sp_landlock_restrict(int rules) {
  struct sigaction action = {.sa_handler = restrict_thread, .sa_flags = SA_RESTART};
  DIR *tasks = opendir("/proc/self/task"); // which no rule allows
  if (!tasks) return -errno;
  restricting = rules;
  memset(threads, 0, sizeof threads);
  int known = 0, outcome = sigaction(RESTRICT, &action, NULL) ? -errno : 0;
  for (int before = -1; !outcome && before != known;) {
    before = known;
    known = signal_threads(tasks, known);
    outcome = known < 0 ? known : await_threads(known);
  }
  closedir(tasks);
  return outcome;
}
