// Part of shim.c: what only the monitor may do. Workers do not load these symbols.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

// open is variadic.
EXPORT int sp_open(const char *path, int flags, int mode) { return result(open(path, flags | O_CLOEXEC, mode)); }

EXPORT int sp_change_mode(int fd, uint32_t mode) { return result(fchmod(fd, mode)); }

// madvise takes an address, and more advice than this. It is advice: a kernel without huge pages has nothing to say.
EXPORT int sp_window_huge(double offset, double length) {
  uint8_t *address = pages_in_window(offset, length);
  if (!address) return -EINVAL;
  madvise(address, (size_t)length, MADV_HUGEPAGE);
  return 0;
}

// ioctl is variadic; the argument is a number or an address below 2^53.
EXPORT int sp_ioctl(int fd, uint32_t request, double argument) {
  return result(ioctl(fd, request, (unsigned long)argument));
}

EXPORT int sp_ioctl_buffer(int fd, uint32_t request, void *argument) { return result(ioctl(fd, request, argument)); }

// The structure lies in the window; the request says how long it is.
EXPORT int sp_ioctl_window(int fd, uint32_t request, double offset) {
  uint8_t *address = in_window(offset, _IOC_SIZE(request));
  if (!address) return -EFAULT;
  return result(ioctl(fd, request, address));
}

// struct flock is a layout of libc. Returns 0, or -EAGAIN when another holds a lock in the way.
EXPORT int sp_lock(int fd, int kind, double start, double length) {
  struct flock lock = {.l_type = (short)kind, .l_start = (off_t)start, .l_len = (off_t)length};
  return result(fcntl(fd, F_OFD_SETLK, &lock));
}

// Returns F_UNLCK when the lock could be had, otherwise the kind that stands in the way.
EXPORT int sp_test_lock(int fd, int kind, double start, double length) {
  struct flock lock = {.l_type = (short)kind, .l_start = (off_t)start, .l_len = (off_t)length};
  if (fcntl(fd, F_OFD_GETLK, &lock)) return -errno;
  return lock.l_type;
}

static int unix_address(struct sockaddr_un *address, const char *path) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
  strcpy(address->sun_path, path);
  return 0;
}

// Both ends in one call, as two numbers.
EXPORT int sp_socket_pair(int type, int *out) { return result(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, out)); }

// Addresses are structures of libc, and a socket that could not be bound must not stay open.
EXPORT int sp_listen(const char *path, int type) {
  struct sockaddr_un address;
  int bad = unix_address(&address, path);
  if (bad) return bad;
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (bind(fd, (void *)&address, sizeof address) || listen(fd, 128)) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// One that others connect, and that a listener whose backlog is full does not hold up.
EXPORT int sp_unix_socket(int type) { return result(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// A listener whose backlog is full is EAGAIN: nobody may hold us up.
EXPORT int sp_connect(const char *path, int type) {
  struct sockaddr_un address;
  int bad = unix_address(&address, path);
  if (bad) return bad;
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  if (connect(fd, (void *)&address, sizeof address) || fcntl(fd, F_SETFL, 0)) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// What device requests for network interfaces go to.
EXPORT int sp_interface_socket(void) { return result(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

// Whether a port of an address could be listened at: 0, or why not. The runtime has no stable way for datagrams.
EXPORT int sp_try_port(const char *address, int port, int datagrams) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } at = {0};
  socklen_t size;
  if (inet_pton(AF_INET, address, &at.v4.sin_addr) == 1) {
    at.v4.sin_family = AF_INET, at.v4.sin_port = htons((uint16_t)port), size = sizeof at.v4;
  } else if (inet_pton(AF_INET6, address, &at.v6.sin6_addr) == 1) {
    at.v6.sin6_family = AF_INET6, at.v6.sin6_port = htons((uint16_t)port), size = sizeof at.v6;
  } else {
    return -EINVAL;
  }
  int fd = socket(at.any.sa_family, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  // Connections that have just ended are in nobody's way; a listener is, all the same. IPv4 has its own socket.
  int on = 1, bad = 0;
  if (!datagrams) bad = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!bad && at.any.sa_family == AF_INET6) bad = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (!bad) bad = bind(fd, &at.any, size);
  if (!bad && !datagrams) bad = listen(fd, 1);
  int outcome = bad ? -errno : 0;
  close(fd);
  return outcome;
}

// struct ucred is a layout of libc: process, user and group of who connected, as they were then.
EXPORT int sp_peer(int fd, int *out) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) return -errno;
  out[0] = peer.pid, out[1] = (int)peer.uid, out[2] = (int)peer.gid;
  return 0;
}

// Makes descriptor `as`, a standard stream, another name of what `fd` is.
EXPORT int sp_redirect(int fd, int as) { return as < 0 || as > 2 ? -EINVAL : result(dup2(fd, as)); }

EXPORT int sp_isatty(int fd) { return isatty(fd); }

// ---- Threads that can be kicked out of a system call ----------------------------------------

#define KICK (SIGRTMIN + 5) // SIGRTMIN is a function of libc

static void kicked(int signal) { (void)signal; }

// A handler that does nothing, without SA_RESTART: the system call returns EINTR.
EXPORT int sp_install_kick(void) {
  struct sigaction action = {.sa_handler = kicked};
  return result(sigaction(KICK, &action, NULL));
}

EXPORT int sp_thread_id(void) { return gettid(); }

EXPORT int sp_kick(int thread) { return result(tgkill(getpid(), thread, KICK)); }

// KVM_RUN that ends after `milliseconds` with -EINTR. The timer strikes this thread, and strikes
// again, since the first stroke may come before the thread is in the kernel.
EXPORT int sp_kvm_run_limited(int fd, uint32_t milliseconds) {
  int bad = sp_install_kick();
  if (bad) return bad;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK, ._sigev_un = {._tid = gettid()}};
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer)) return -errno;
  struct itimerspec when = {
      .it_value = {milliseconds / 1000, (milliseconds % 1000) * 1000000L + 1},
      .it_interval = {0, 1000000},
  };
  timer_settime(timer, 0, &when, NULL);
  int answer = result(ioctl(fd, _IO(0xAE, 0x80), 0));
  timer_delete(timer);
  return answer;
}

// ---- Memory as a sparse file ----------------------------------------------------------------
// Loops over many pages, for a thread of the runtime's pool: a script would take one call per page.

static int is_zero(const uint8_t *page) {
  const uint64_t *words = (const void *)page;
  uint64_t any = 0;
  for (int i = 0; i < PAGE / 8; i++) any |= words[i];
  return any == 0;
}

// Writes what a memfd holds between two offsets to the same offsets of a file that is empty there; pages of zeros stay
// holes. `window` is where the memfd is mapped. Pages that nobody has touched are not looked at, which would make them.
// Returns the number of bytes written.
EXPORT double sp_save_pages(int to, int memory, double window, double start, double end) {
  const uint8_t *base = pages_in_window(window, end);
  if (!base || !(start >= 0 && start <= end)) return -EINVAL;
  off_t written = 0, at = (off_t)start, last = (off_t)end;
  while (at < last) {
    off_t data = lseek(memory, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return -errno;
    if (data >= last) break;
    off_t hole = lseek(memory, data, SEEK_HOLE);
    if (hole < 0) return -errno;
    if (hole > last) hole = last;
    for (at = data; at < hole;) {
      if (is_zero(base + at)) {
        at += PAGE;
        continue;
      }
      off_t run = at;
      while (run < hole && run - at < (1 << 20) && !is_zero(base + run)) run += PAGE;
      while (at < run) {
        ssize_t n = pwrite(to, base + at, (size_t)(run - at), at);
        if (n < 0 && errno != EINTR) return -errno;
        if (n > 0) at += n, written += n;
      }
    }
  }
  return (double)written;
}

// Copies what a file holds between two offsets into a memfd, within the kernel; holes are not touched. Returns the
// number of bytes copied, -ENODATA when the file ends too early.
EXPORT double sp_fill_pages(int memory, int from, double start, double end) {
  if (!(start >= 0 && start <= end && end < 9e15)) return -EINVAL;
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
  int to = open(path, O_WRONLY | O_CLOEXEC); // with a position of its own
  if (to < 0) return -errno;
  double answer = 0;
  for (off_t at = (off_t)start, last = (off_t)end; at < last && answer >= 0;) {
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
    if (hole < 0 || (data < last && lseek(to, data, SEEK_SET) < 0)) {
      answer = -errno;
      break;
    }
    if (hole > last) hole = last;
    for (at = data; at < hole && answer >= 0;) {
      ssize_t n = sendfile(to, from, &at, (size_t)(hole - at));
      if (n == 0) answer = -ENODATA;
      else if (n < 0 && errno != EINTR) answer = -errno;
      else if (n > 0) answer += n;
    }
  }
  close(to);
  return answer;
}

// ---- The starter ----------------------------------------------------------------------------

extern char **environ;

// fork is not safe in a process with threads; between vfork and exec only system calls are made.
// `program` is an open executable, or -1 and `path` names it. `socket` becomes descriptor 3; the
// child keeps 0 to 2 and nothing else, with all signals blocked. Returns the process id.
EXPORT int sp_spawn_starter(int program, const char *path, int socket) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  char *const argv[] = {(char *)"spectrum-starter", NULL};
  char *const envp[] = {NULL};
  pid_t parent = getpid();
  volatile int error = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGUSR1, &ignore, NULL);
    int high = fcntl(socket, F_DUPFD_CLOEXEC, 5); // out of the way of 3 and 4
    int image = program < 0 ? -1 : fcntl(program, F_DUPFD_CLOEXEC, 5);
    if (high < 0 || dup3(high, 3, 0) < 0 || (image >= 0 && dup3(image, 4, O_CLOEXEC) < 0) ||
        syscall(SYS_close_range, image >= 0 ? 5 : 4, ~0u, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) ||
        getppid() != parent) {
      error = errno ? errno : ESRCH;
      _exit(127);
    }
    // Signals stay blocked: Ctrl-C is for the monitor. The starter gives its children a clean mask.
    if (image >= 0) {
      syscall(SYS_execveat, 4, "", argv, envp, AT_EMPTY_PATH);
    } else {
      execve(path, argv, envp);
    }
    error = errno;
    _exit(127);
  }
  int fork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (pid < 0) return -fork_error;
  if (error) {
    waitpid(pid, NULL, 0);
    return -error;
  }
  return pid;
}

// Returns -EAGAIN while the process runs, then its status: 0 to 255, or 256 + the signal.
EXPORT int sp_reap(int pid) {
  int status;
  pid_t n = waitpid(pid, &status, WNOHANG);
  if (n < 0) return -errno;
  if (n == 0) return -EAGAIN;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

// libc 2.36 has pidfd_open but older ones lack it. Readable when the process has ended.
EXPORT int sp_pidfd(int pid) { return result(syscall(SYS_pidfd_open, pid, 0)); }
