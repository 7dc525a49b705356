// The starter: a small static program between the monitor and its workers.
//
// The monitor runs it first and keeps one socket to it (descriptor 3, SOCK_SEQPACKET). On request it
// starts a program with exactly the arguments, environment and descriptors that it is told, and
// reports how that ended. A program started here cannot inherit a descriptor of the monitor that
// merely happens to be open; it dies with the starter, and the starter with the monitor.
//
// Request, little endian, one packet: kind, id, then for START: argc, envc, count of descriptors, of limits and of files,
// how many descriptors the process may have, the user that it becomes (NOBODY_ELSE: ours), namespaces and measures of its
// jail (jail.c); one target number per descriptor that comes with the packet (-1: the program itself); two numbers per
// limit, a resource of setrlimit and the most; then argc + envc + files strings, each with its NUL. For KILL: a signal.
// Answer, four words: kind, id, and for STARTED the process, for FAILED errno and stage, for EXITED
// status and signal, for DONE (paths.c) errno. SEAL, from a monitor whose guest is about to run: from then on only what was asked for before is
// started, to the byte, with the same executable if that is given, and nothing that is given no descriptor: a thread that
// can send none starts nothing.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SOCKET = 3, MAX_CHILDREN = 128, MAX_FDS = 64, MAX_STRINGS = 256, MAX_TARGET = 200, MAX_FILES = 65536, MAX_PACKET = 65536 };
static const uint32_t NOBODY_ELSE = ~0u;
enum { START = 1, KILL = 2, SEAL = 3, ADMIT = 4, CONNECT = 5, SAVE = 6, SAVED = 7 };
enum { STARTED = 1, FAILED = 2, EXITED = 3, DONE = 4 };
enum stage { REQUEST = 1, FORK = 2, DESCRIPTORS = 3, JAIL = 4, EXEC = 5, NAMESPACE = 6, ROOT = 7, LANDLOCKED = 8 };

struct start {
  uint32_t kind, id, argc, envc, descriptors, limits, files, open_files, user, namespaces, measures;
};

struct limit {
  uint32_t resource, most;
};

struct failure {
  int error, stage;
};

static struct child {
  uint32_t id;
  pid_t pid; // 0: free
} children[MAX_CHILDREN];

// A request without its number, and the file that its program is, if a descriptor is the program.
static struct known {
  struct known *next;
  dev_t device;
  ino_t inode;
  size_t length;
  char bytes[];
} *known;

static int sealed;

static union {
  struct start start;
  char bytes[MAX_PACKET];
} packet;

static void remove_partial(void);
static void remove_ours(void);

static void end_all(void) {
  for (int i = 0; i < MAX_CHILDREN; i++) {
    if (!children[i].pid) continue;
    kill(-children[i].pid, SIGKILL);
    kill(children[i].pid, SIGKILL);
  }
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
  }
  remove_partial();
  remove_ours();
  _exit(0);
}

// Room for the descriptors that a packet carries.
union control {
  char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
  struct cmsghdr align;
};

static void answer_with(uint32_t kind, uint32_t id, int a, int b, const int *fds, uint32_t count) {
  uint32_t words[4] = {kind, id, (uint32_t)a, (uint32_t)b};
  union control control = {0};
  struct iovec iov = {words, sizeof words};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (count) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  if (sendmsg(SOCKET, &message, MSG_NOSIGNAL) != sizeof words) end_all();
}

static void answer(uint32_t kind, uint32_t id, int a, int b) { answer_with(kind, id, a, b, NULL, 0); }

static struct child *find(uint32_t id) {
  for (int i = 0; i < MAX_CHILDREN; i++)
    if (children[i].pid && children[i].id == id) return &children[i];
  return NULL;
}

// ---- In the child ---------------------------------------------------------------------------

static int report;

static void fail(enum stage stage) {
  struct failure failure = {errno, stage};
  if (write(report, &failure, sizeof failure) < 0) _exit(126);
  _exit(127);
}

#include "jail.c"

static void limit(uint32_t resource, rlim_t most) {
  struct rlimit now, wanted;
  if (getrlimit((int)resource, &now)) fail(JAIL);
  if (most > now.rlim_max) most = now.rlim_max;
  wanted.rlim_cur = wanted.rlim_max = most;
  if (setrlimit((int)resource, &wanted)) fail(JAIL);
}

static void become_user(uid_t user) {
  if (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user)) fail(JAIL);
}

// Makes root an ordinary user who may bind low ports, if root may: a program of others that would change its
// user by itself loses what ends it with us (PR_SET_PDEATHSIG), so this comes before that.
static void become_binding_user(uid_t user) {
  const uint32_t bind = 1u << CAP_NET_BIND_SERVICE;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct caps[2];
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) fail(JAIL);
  become_user(user);
  if (syscall(SYS_capget, &header, caps)) fail(JAIL);
  caps[0].permitted &= bind;
  caps[0].effective = caps[0].inheritable = caps[0].permitted;
  caps[1] = (struct __user_cap_data_struct){0};
  if (syscall(SYS_capset, &header, caps)) fail(JAIL);
  if (caps[0].permitted && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0)) fail(JAIL);
}

static void reset_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int i = 1; i < NSIG; i++) sigaction(i, &action, NULL); // fails for those that nobody can set
  // The C library keeps 32 and 33 for its threads and does not let us set them; who started us may
  // have left them ignored, which a program would inherit.
  struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } plain = {0};
  for (int i = 32; i <= 33; i++) syscall(SYS_rt_sigaction, i, &plain, NULL, sizeof plain.mask);
  // The runtime opens a debugger port at SIGUSR1, with a handler that it installs late. So the signal
  // is blocked as well, in this and thus in every thread of the worker.
  action.sa_handler = SIG_IGN;
  if (sigaction(SIGUSR1, &action, NULL)) fail(JAIL);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  if (sigprocmask(SIG_SETMASK, &blocked, NULL)) fail(JAIL);
}

static int has_target(const int *targets, uint32_t count, int target) {
  for (uint32_t i = 0; i < count; i++)
    if (targets[i] == target) return 1;
  return 0;
}

// Puts each descriptor at its number. All move out of the way first, above every target.
static int place(int *fds, const int *targets, uint32_t count) {
  int program = -1;
  report = fcntl(report, F_DUPFD_CLOEXEC, MAX_TARGET);
  if (report < 0) _exit(126);
  for (uint32_t i = 0; i < count; i++) {
    fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, MAX_TARGET);
    if (fds[i] < 0) fail(DESCRIPTORS);
    if (targets[i] < 0) program = fds[i];
  }
  // Nothing else survives the exec.
  if (syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */)) fail(DESCRIPTORS);
  for (uint32_t i = 0; i < count; i++)
    if (targets[i] >= 0 && dup2(fds[i], targets[i]) < 0) fail(DESCRIPTORS);
  // Standard input is empty, output goes to the error output, unless they were given.
  if (has_target(targets, count, 2) && !has_target(targets, count, 1) && dup2(2, 1) < 0) fail(DESCRIPTORS);
  return program;
}

// Dies with the starter, which may have died before that was asked for: then nobody is left to read reports. (In a
// process namespace the starter has no number that getppid could tell.)
static void die_with_starter(void) {
  struct pollfd reader = {.fd = report};
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || poll(&reader, 1, 0) < 0) fail(JAIL);
  if (reader.revents & POLLERR) _exit(127);
}

struct process {
  const struct start *how;
  int *fds;
  const int *targets;
  const struct limit *limits;
  char **argv, **envp;
  struct jail jail;
};

static void become(const struct process *process, uid_t our_user, gid_t our_group) {
  const struct start *how = process->how;
  const struct jail *jail = &process->jail;
  if (jail->namespaces) enter_namespaces(jail, our_user, our_group);
  const int keeps_some = !(jail->measures & NO_CAPABILITIES);
  if (!keeps_some) forbid_capabilities();
  if (how->user != NOBODY_ELSE) (keeps_some ? become_binding_user : become_user)(how->user);
  if (!keeps_some) give_up_capabilities();
  die_with_starter(); // a change of user would undo it
  int program = place(process->fds, process->targets, how->descriptors);
  if (setsid() < 0 || chdir("/")) fail(JAIL);
  umask(077);
  reset_signals();
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, how->open_files);
  for (uint32_t i = 0; i < how->limits; i++) limit(process->limits[i].resource, process->limits[i].most);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail(JAIL);
  if (jail->measures & LANDLOCK) restrict_files(jail, program);
  if (program >= 0) syscall(SYS_execveat, program, "", process->argv, process->envp, AT_EMPTY_PATH);
  else execve(process->argv[0], process->argv, process->envp);
  fail(EXEC);
}

// ---- Requests -------------------------------------------------------------------------------

#include "paths.c"

// Points at each of the strings from `at` on. Returns what follows them, or NULL when one has no end.
static char *strings(char *at, char *end, uint32_t count, char **out) {
  for (uint32_t i = 0; at && i < count; i++) {
    out[i] = at;
    char *nul = memchr(at, 0, (size_t)(end - at));
    at = nul ? nul + 1 : NULL;
  }
  out[count] = NULL;
  return at;
}

static int targets_sound(const int *targets, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (targets[i] < -1 || targets[i] >= MAX_TARGET || has_target(targets, i, targets[i])) return 0;
  return 1;
}

static int jail_sound(const struct jail *jail) {
  for (uint32_t i = 0; i < jail->count; i++)
    if ((jail->files[i][0] != 'r' && jail->files[i][0] != 'x') || jail->files[i][1] != '/') return 0;
  return !(jail->namespaces & ~NAMESPACES) && !(jail->measures & ~ALL_MEASURES);
}

static int head_sound(const struct start *head, uint32_t count) {
  return head->descriptors == count && head->open_files >= MAX_TARGET && head->open_files <= MAX_FILES &&
         head->argc >= 1 && head->argc <= MAX_STRINGS && head->envc <= MAX_STRINGS && head->files <= MAX_STRINGS &&
         head->limits <= RLIM_NLIMITS;
}

// Finds the parts of a request. Returns 0 when they are exactly all of it.
static int parse(size_t length, uint32_t count, struct process *out, char **text) {
  struct start *head = &packet.start;
  if (length < sizeof *head || !head_sound(head, count)) return -1;
  char *targets = packet.bytes + sizeof *head, *limits = targets + count * sizeof(int);
  char *at = limits + head->limits * sizeof(struct limit), *end = packet.bytes + length;
  if (at > end) return -1;
  out->how = head;
  out->targets = (int *)(void *)targets;
  out->limits = (struct limit *)(void *)limits;
  out->argv = text;
  out->envp = out->argv + head->argc + 1;
  out->jail = (struct jail){head->namespaces, head->measures, out->envp + head->envc + 1, head->files};
  at = strings(at, end, head->argc, out->argv);
  if (at) at = strings(at, end, head->envc, out->envp);
  if (at) at = strings(at, end, head->files, out->jail.files);
  return at == end && targets_sound(out->targets, count) && jail_sound(&out->jail) ? 0 : -1;
}

// Whether this was asked for before the starter was sealed. Takes the request's number away.
static int permitted(size_t length, const struct process *process) {
  struct stat program = {0};
  if (sealed && process->how->descriptors == 0) return 0;
  for (uint32_t i = 0; i < process->how->descriptors; i++)
    if (process->targets[i] < 0 && fstat(process->fds[i], &program)) return 0;
  packet.start.id = 0;
  for (struct known *one = known; one; one = one->next)
    if (one->length == length && one->device == program.st_dev && one->inode == program.st_ino &&
        !memcmp(one->bytes, packet.bytes, length))
      return 1;
  struct known *new = sealed ? NULL : malloc(sizeof *new + length);
  if (!new) return 0;
  *new = (struct known){known, program.st_dev, program.st_ino, length};
  memcpy(new->bytes, packet.bytes, length);
  known = new;
  return 1;
}

static void start(size_t length, int *fds, uint32_t count) {
  char *text[3 * (MAX_STRINGS + 1)];
  struct process process = {.fds = fds};
  uint32_t id = packet.start.id;
  if (parse(length, count, &process, text)) {
    answer(FAILED, id, EINVAL, REQUEST);
    return;
  }
  if (!permitted(length, &process)) {
    answer(FAILED, id, EPERM, REQUEST);
    return;
  }
  struct child *child = NULL;
  for (int i = 0; i < MAX_CHILDREN && !child; i++)
    if (!children[i].pid) child = &children[i];
  if (!child || find(id)) {
    answer(FAILED, id, child ? EEXIST : EAGAIN, REQUEST);
    return;
  }
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC)) {
    answer(FAILED, id, errno, FORK);
    return;
  }
  uid_t user = getuid();
  gid_t group = getgid();
  // A fork into namespaces; as process 1 of its own it takes all others there along when it ends.
  pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | process.jail.namespaces, NULL, NULL, NULL, 0);
  if (pid == 0) {
    close(pipe[0]);
    report = pipe[1];
    become(&process, user, group);
  }
  int error = errno;
  close(pipe[1]);
  struct failure failure;
  ssize_t n = 0;
  if (pid > 0) do n = read(pipe[0], &failure, sizeof failure); // ends when the exec closes the pipe
    while (n < 0 && errno == EINTR);
  close(pipe[0]);
  if (pid < 0) {
    answer(FAILED, id, error, process.jail.namespaces ? NAMESPACE : FORK);
  } else if (n == sizeof failure) {
    waitpid(pid, NULL, 0);
    answer(FAILED, id, failure.error, failure.stage);
  } else {
    *child = (struct child){id, pid};
    answer(STARTED, id, pid, 0);
  }
}

static void signal_child(size_t length) {
  uint32_t *words = (uint32_t *)(void *)packet.bytes;
  struct child *child = length == 12 ? find(words[1]) : NULL;
  if (child && words[2] > 0 && words[2] < NSIG) kill(child->pid, (int)words[2]);
}

static void serve(void) {
  union control control;
  struct iovec iov = {packet.bytes, sizeof packet.bytes};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
  ssize_t length = recvmsg(SOCKET, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) end_all();
  int fds[MAX_FDS];
  uint32_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    count = (uint32_t)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
  }
  if (length < 8 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
    answer(FAILED, length < 8 ? 0 : packet.start.id, EMSGSIZE, REQUEST);
  } else if (packet.start.kind == START) {
    start((size_t)length, fds, count);
  } else if (packet.start.kind == KILL) {
    signal_child((size_t)length);
  } else if (packet.start.kind == SEAL) {
    sealed = 1;
  } else if (packet.start.kind >= ADMIT && packet.start.kind <= SAVED) {
    serve_path((size_t)length, fds, count);
  }
  for (uint32_t i = 0; i < count; i++) close(fds[i]);
}

static void reap(int signals) {
  struct signalfd_siginfo info;
  if (read(signals, &info, sizeof info) < 0 && errno != EAGAIN) end_all();
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    for (int i = 0; i < MAX_CHILDREN; i++) {
      if (children[i].pid != pid) continue;
      children[i].pid = 0;
      answer(EXITED, children[i].id, WIFEXITED(status) ? WEXITSTATUS(status) : 0,
             WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
  }
}

int main(void) {
  // The monitor's terminal is not for its workers: they get an empty input and its error output.
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) < 0) return 1;
  if (fcntl(2, F_GETFD) < 0 && dup2(null, 2) < 0) return 1;
  if (dup2(2, 1) < 0 || fcntl(SOCKET, F_SETFD, FD_CLOEXEC)) return 1;
  // Nobody but root gets at our memory by /proc, where the same user's monitor could write to it.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) return 1;
  if (null > SOCKET) close(null);
  sigset_t watched;
  sigfillset(&watched);
  sigprocmask(SIG_SETMASK, &watched, NULL);
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return 1;
  struct pollfd wait[2] = {{SOCKET, POLLIN, 0}, {signals, POLLIN, 0}};
  for (;;) {
    if (poll(wait, 2, -1) < 0 && errno != EINTR) end_all();
    if (wait[1].revents) reap(signals);
    if (wait[0].revents) serve();
  }
}
