// What hostile code in a device's place would try, as raw system calls. A library, loaded before the worker locks itself.
//
// Each attempt returns what its call did: 0 or more when it was let through, else -errno. None does harm where nothing
// stops it: it opens and closes, sets what is set, asks for what cannot be.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <linux/futex.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define FILTERED (-999) // what a call returns that a filter would kill for

static int read_only, monitor, queue; // a file open for reading; a process outside; a message queue of its

static void answer_filtered(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = FILTERED;
}

// Without the C library, which turns results into errno.
static long raw(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long result = number;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static const char OLD_ENTRY[] = "\xcd\x80"; // int $0x80

// A kernel that has no such entry has an instruction that faults.
static void answer_fault(int signal, siginfo_t *info, void *context) {
  (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (memcmp((const char *)registers[REG_RIP], OLD_ENTRY, sizeof OLD_ENTRY - 1))
    raw(SYS_exit_group, 128 + signal, 0, 0, 0, 0, 0);
  registers[REG_RIP] += sizeof OLD_ENTRY - 1;
  registers[REG_RAX] = -ENOSYS;
}

// Lets attempts go on after one that a filter traps, or that faults.
EXPORT void prepare(int file, int process, int messages) {
  read_only = file, monitor = process, queue = messages;
  struct sigaction action = {.sa_sigaction = answer_filtered, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSYS, &action, NULL);
  action.sa_sigaction = answer_fault;
  sigaction(SIGSEGV, &action, NULL);
}

#define CALL(number, ...) CALL_(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(number, a, b, c, d, e, f, ...) \
  raw(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static long closing(long fd) {
  if (fd >= 0) raw(SYS_close, fd, 0, 0, 0, 0, 0);
  return fd;
}

static long opened(const char *path, int flags) { return closing(CALL(SYS_openat, AT_FDCWD, path, flags, 0600)); }

static long socket_of(int domain, int type) { return closing(CALL(SYS_socket, domain, type)); }

static long open_passwd(void) { return opened("/etc/passwd", O_RDONLY); }
static long open2_passwd(void) {
  uint64_t how[3] = {O_RDONLY, 0, 0};
  return closing(CALL(437, AT_FDCWD, "/etc/passwd", how, sizeof how));
}
static long create_file(void) {
  long fd = opened("/tmp/spectrum-escape", O_CREAT | O_WRONLY);
  if (fd >= 0) CALL(SYS_unlink, "/tmp/spectrum-escape");
  return fd;
}
static long make_folder(void) {
  long made = CALL(SYS_mkdir, "/tmp/spectrum-escape-folder", 0700);
  if (made >= 0) CALL(SYS_rmdir, "/tmp/spectrum-escape-folder");
  return made;
}
static long make_link(void) {
  long made = CALL(SYS_symlink, "/etc", "/tmp/spectrum-escape-link");
  if (made >= 0) CALL(SYS_unlink, "/tmp/spectrum-escape-link");
  return made;
}
static long stat_passwd(void) {
  struct stat st;
  return CALL(SYS_stat, "/etc/passwd", &st);
}
static long list_root(void) { return opened("/", O_RDONLY | O_DIRECTORY); }
static long root_of_monitor(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/root/etc/passwd", monitor);
  return opened(path, O_RDONLY);
}
static long write_own_code(void) {
  long fd = CALL(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR);
  return closing(fd);
}
static long open_kvm(void) { return opened("/dev/kvm", O_RDWR); }
static long open_memory(void) { return opened("/dev/mem", O_RDONLY); }
static long change_folder(void) { return CALL(SYS_chdir, "/etc"); }
static long change_root(void) { return CALL(SYS_chroot, "/"); }
static long mount_something(void) {
  long result = CALL(SYS_mount, "none", "/", "spectrum-none", 0, 0);
  return result == -ENODEV ? 0 : result; // there is no such file system
}
static long clone_tree(void) { return closing(CALL(428, AT_FDCWD, "/", 1 | O_CLOEXEC)); }
static long new_mount(void) { return closing(CALL(430, "tmpfs", 1)); }

static long tcp(void) {
  long fd = CALL(SYS_socket, AF_INET, SOCK_STREAM);
  if (fd < 0) return fd;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  long result = CALL(SYS_connect, fd, &to, sizeof to);
  closing(fd);
  return result == -ECONNREFUSED ? 0 : result; // it got there
}
static long bind_port(void) {
  long fd = CALL(SYS_socket, AF_INET, SOCK_STREAM);
  if (fd < 0) return fd;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  long result = CALL(SYS_bind, fd, &at, sizeof at);
  closing(fd);
  return result;
}
static long udp(void) {
  long fd = CALL(SYS_socket, AF_INET, SOCK_DGRAM);
  if (fd < 0) return fd;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  long result = CALL(SYS_sendto, fd, "x", 1, 0, &to, sizeof to);
  closing(fd);
  return result;
}
static long abstract_socket(void) {
  long fd = CALL(SYS_socket, AF_UNIX, SOCK_STREAM);
  if (fd < 0) return fd;
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const char name[] = "spectrum-escape";
  memcpy(to.sun_path + 1, name, sizeof name - 1);
  long result = CALL(SYS_connect, fd, &to, sizeof(sa_family_t) + sizeof name);
  closing(fd);
  return result;
}
static long unix_socket(void) { return socket_of(AF_UNIX, SOCK_STREAM); }
static long socket_pair(void) {
  int ends[2];
  long result = CALL(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ends);
  if (result >= 0) closing(ends[0]), closing(ends[1]);
  return result;
}
static long vsock(void) { return socket_of(AF_VSOCK, SOCK_STREAM); }
static long netlink(void) { return socket_of(AF_NETLINK, SOCK_RAW); }
static long packets(void) { return socket_of(AF_PACKET, SOCK_RAW); }
static long crypto(void) { return socket_of(AF_ALG, SOCK_SEQPACKET); }

static long execute(void) {
  // There is no such program; whoever may execute gets to hear so.
  char *none[] = {NULL};
  long result = CALL(SYS_execve, "/spectrum-escape-none", none, none);
  return result == -ENOENT ? 0 : result;
}
static long execute_memory(void) {
  long fd = CALL(SYS_memfd_create, "x", MFD_CLOEXEC);
  if (fd < 0) return fd;
  char *none[] = {NULL};
  CALL(SYS_write, fd, "x", 1);
  long result = CALL(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH);
  closing(fd);
  return result == -ENOEXEC ? 0 : result;
}
static long child(unsigned long flags) {
  long pid = CALL(SYS_clone, flags | SIGCHLD);
  if (pid == 0) raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
  if (pid > 0) CALL(SYS_wait4, pid, 0, 0, 0);
  return pid;
}
static long fork_child(void) { return child(0); }
static long fork_user_namespace(void) { return child(CLONE_NEWUSER); }
static long clone3_child(void) {
  uint64_t arguments[8] = {[4] = SIGCHLD};
  long pid = CALL(SYS_clone3, arguments, sizeof arguments);
  if (pid == 0) raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
  if (pid > 0) CALL(SYS_wait4, pid, 0, 0, 0);
  return pid;
}
static long new_user_namespace(void) {
  // A process with threads may not, and hears so only if it might.
  long result = CALL(SYS_unshare, CLONE_NEWUSER);
  return result == -EINVAL ? 0 : result;
}
static long new_network(void) { return CALL(SYS_unshare, CLONE_NEWNET); }
static long enter_namespace(void) {
  long result = CALL(SYS_setns, read_only, 0);
  return result == -EINVAL ? 0 : result; // the file is no namespace
}
static long trace_monitor(void) { return CALL(SYS_ptrace, 0x4206 /* SEIZE */, monitor, 0, 0); }
static long read_monitor(void) {
  char byte;
  long local[2] = {(long)&byte, 1}, remote[2] = {(long)&byte, 1};
  long result = CALL(SYS_process_vm_readv, monitor, local, 1, remote, 1, 0);
  return result == -EFAULT ? 0 : result; // nothing is there
}
static long signal_monitor(void) { return CALL(SYS_kill, monitor, 0); }
static long signal_all(void) { return CALL(SYS_kill, -1, 0); }
static long watch_monitor(void) { return closing(CALL(434, monitor, 0)); }
static long steal_descriptor(void) {
  long fd = CALL(434, monitor, 0);
  if (fd < 0) return fd;
  long stolen = closing(CALL(438, fd, 0, 0));
  closing(fd);
  return stolen;
}
static long compare_monitor(void) { return CALL(SYS_kcmp, monitor, monitor, 0, 0, 0); }
static long limits_of_monitor(void) {
  struct rlimit limit;
  return CALL(SYS_prlimit64, monitor, RLIMIT_NOFILE, 0, &limit);
}

static long bpf_map(void) {
  uint32_t map[32] = {2, 4, 4, 1};
  return closing(CALL(SYS_bpf, 0, map, sizeof map));
}
static long perf_event(void) {
  uint32_t event[32] = {1, 112};
  return closing(CALL(SYS_perf_event_open, event, 0, -1, -1, 0));
}
static long new_ring(void) {
  char parameters[120] = {0};
  return closing(CALL(425, 4, parameters));
}
static long register_ring(void) {
  long result = CALL(427, read_only, 0, 0, 0);
  return result == -EOPNOTSUPP ? 0 : result; // the file is no ring
}
static long page_faults(void) { return closing(CALL(SYS_userfaultfd, 1)); }
static long keyring(void) { return CALL(SYS_keyctl, 0, -3, 1); }
static long add_key(void) { return CALL(SYS_add_key, "user", "spectrum", "x", 1, -2); }
static long watch_files(void) { return closing(CALL(SYS_inotify_init1, 0)); }
static long timer_descriptor(void) { return closing(CALL(SYS_timerfd_create, 1, 0)); }
static long message_queue(void) {
  long id = CALL(SYS_msgget, 0 /* IPC_PRIVATE */, 0600);
  if (id >= 0) CALL(SYS_msgctl, id, 0 /* IPC_RMID */, 0);
  return id;
}
static long shared_segment(void) {
  long id = CALL(SYS_shmget, 0 /* IPC_PRIVATE */, 4096, 0600);
  if (id >= 0) CALL(SYS_shmctl, id, 0 /* IPC_RMID */, 0);
  return id;
}

static long queue_of_monitor(void) {
  char status[256];
  return CALL(SYS_msgctl, queue, 2 /* IPC_STAT */, status);
}
static long posix_queue(void) {
  long fd = closing(CALL(SYS_mq_open, "spectrum-escape", O_CREAT | O_RDWR, 0600, 0));
  if (fd >= 0) CALL(SYS_mq_unlink, "spectrum-escape");
  return fd;
}
static long much_memory(void) {
  const long size = 1l << 30;
  long at = CALL(SYS_mmap, 0, size, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at < 0 && at >= -4095) return at;
  CALL(SYS_munmap, at, size);
  return 0;
}
// A process in this memory, which needs no stack: it only pauses.
static long paused_process(void) {
  long result;
  __asm__ volatile(
      "syscall\n\ttest %%rax, %%rax\n\tjnz 2f\n1:\tmov %[pause], %%eax\n\tsyscall\n\tjmp 1b\n2:"
      : "=a"(result)
      : "a"((long)SYS_clone), "D"((long)(CLONE_VM | SIGCHLD)), "S"(0l), "d"(0l), [pause] "i"(SYS_pause)
      : "rcx", "r11", "memory");
  return result;
}
static long many_processes(void) {
  enum { MANY = 600 };
  static long pids[MANY];
  long result = 0;
  int count = 0;
  while (count < MANY && (result = paused_process()) > 0) pids[count++] = result;
  for (int i = 0; i < count; i++) CALL(SYS_kill, pids[i], SIGKILL), CALL(SYS_wait4, pids[i], 0, 0, 0);
  return result;
}
static long host_name(void) {
  struct utsname names;
  long result = CALL(SYS_uname, &names);
  return result == 0 && !strcmp(names.nodename, "jail") ? -ENOENT : result; // that one is nobody's
}
static long group_path(void) {
  char text[4096] = {0};
  long fd = CALL(SYS_openat, AT_FDCWD, "/proc/self/cgroup", O_RDONLY);
  if (fd < 0) return fd;
  CALL(SYS_read, fd, text, sizeof text - 1);
  closing(fd);
  for (char *line = text; *line; line = strchr(line, '\n') + 1) {
    char *path = strchr(strchr(line, ':') + 1, ':') + 1;
    if (strncmp(path, "/\n", 2)) return 0;
  }
  return -ENOENT; // all that it sees is a root
}

static long map_code(void) {
  long at = CALL(SYS_mmap, 0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at >= 0 || at < -4095) CALL(SYS_munmap, at, 4096);
  return at < 0 && at >= -4095 ? at : 0;
}
static long map_file_code(void) {
  long at = CALL(SYS_mmap, 0, 4096, 5, MAP_PRIVATE, read_only, 0);
  if (at >= 0 || at < -4095) CALL(SYS_munmap, at, 4096);
  return at < 0 && at >= -4095 ? at : 0;
}
static uint8_t page[8192];
static long become_code(void) {
  uint8_t *at = (uint8_t *)(((uintptr_t)page + 4095) & ~(uintptr_t)4095);
  long result = CALL(SYS_mprotect, at, 4096, 5);
  if (result >= 0) CALL(SYS_mprotect, at, 4096, 3);
  return result;
}
static long map_over_as_code(void) {
  void *at = (void *)(((uintptr_t)page + 4095) & ~(uintptr_t)4095);
  long result = CALL(SYS_mmap, at, 4096, 5, MAP_PRIVATE | MAP_FIXED, read_only, 0);
  CALL(SYS_mmap, at, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return result < 0 && result >= -4095 ? result : 0;
}
static long map_locked(void) {
  long at = CALL(SYS_mmap, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
  if (at < 0 && at >= -4095) return at;
  CALL(SYS_munmap, at, 4096);
  return 0;
}
static long move_over(void) {
  long at = CALL(SYS_mmap, 0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long result = CALL(SYS_mremap, at, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at + 4096);
  CALL(SYS_munmap, at, 8192);
  return result < 0 && result >= -4095 ? result : 0;
}
static long swap_out(void) { return CALL(SYS_madvise, ((uintptr_t)page + 4095) & ~4095ul, 4096, 21 /* PAGEOUT */); }
static long lend_priority(void) {
  static uint32_t word;
  long result = CALL(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0);
  if (result >= 0) CALL(SYS_futex, &word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0);
  return result;
}
static long stat_from_folder(void) {
  struct stat st;
  return CALL(SYS_newfstatat, AT_FDCWD, "/", &st, 0);
}
static long write_read_only(void) { return CALL(SYS_pwrite64, read_only, "x", 1, 0); }
static long map_read_only_writable(void) {
  long at = CALL(SYS_mmap, 0, 4096, 3, MAP_SHARED, read_only, 0);
  if (at >= 0 || at < -4095) CALL(SYS_munmap, at, 4096);
  return at < 0 && at >= -4095 ? at : 0;
}
static long reopen_writable(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", read_only);
  return opened(path, O_RDWR);
}
static long change_mode(void) { return CALL(SYS_fchmod, read_only, 0644); }
static long change_owner(void) { return CALL(SYS_fchown, read_only, -1, -1); }
static long lock_file(void) { return CALL(SYS_flock, read_only, 4 | 8); }
static long set_attribute(void) {
  long result = CALL(SYS_fsetxattr, read_only, "user.spectrum", "x", 1, 0);
  if (result >= 0) CALL(SYS_fremovexattr, read_only, "user.spectrum");
  return result;
}
static long own_signals(void) { return CALL(SYS_fcntl, 2, F_SETOWN, monitor); }
static long inject_input(void) { return CALL(SYS_ioctl, read_only, FIONREAD, page); }

static long restart(void) {
  long result = CALL(SYS_reboot, 0, 0, 0, 0);
  return result == -EINVAL ? 0 : result; // the magic numbers are none
}
static long swap(void) {
  long result = CALL(SYS_swapon, "/spectrum-escape-none", 0);
  return result == -ENOENT ? 0 : result;
}
static long load_module(void) {
  long result = CALL(SYS_init_module, 0, 0, "");
  return result == -EFAULT || result == -ENOEXEC ? 0 : result;
}
static long set_clock(void) {
  struct timex clock = {0};
  long result = CALL(SYS_clock_adjtime, CLOCK_REALTIME, &clock); // asks
  if (result < 0) return result;
  clock.modes = ADJ_TICK; // as it is
  return CALL(SYS_clock_adjtime, CLOCK_REALTIME, &clock);
}
static long set_name(void) {
  long result = CALL(SYS_sethostname, "x", -1);
  return result == -EINVAL ? 0 : result;
}
static long kernel_log(void) { return CALL(SYS_syslog, 10, 0, 0); }
static long choose_processor(void) {
  uint64_t all = ~0ull;
  return CALL(SYS_sched_setaffinity, 0, sizeof all, &all);
}
static long go_first(void) { return CALL(SYS_setpriority, 0, 0, -5); }
static long real_time(void) {
  int priority = 1;
  return CALL(SYS_sched_setscheduler, 0, 1, &priority);
}
static long raise_limit(void) {
  struct rlimit more = {1 << 20, 1 << 20};
  return CALL(SYS_prlimit64, 0, RLIMIT_NOFILE, &more, 0);
}
static long become_dumpable(void) { return CALL(SYS_prctl, PR_SET_DUMPABLE, 1); }
static long become_root(void) { return CALL(SYS_setuid, 0); }
static long take_capabilities(void) {
  uint32_t header[2] = {0x20080522, 0}, all[6] = {~0u, ~0u, 0, ~0u, ~0u, 0};
  return CALL(SYS_capset, header, all);
}
static long open_by_handle(void) {
  uint32_t handle[4] = {0};
  long result = CALL(SYS_open_by_handle_at, AT_FDCWD, handle, 0);
  return result == -EINVAL || result == -ESTALE ? 0 : result;
}
static long other_numbers(void) { return CALL(0x40000000 | 39, 0); }
static long old_entry(void) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid of i386 */) : "memory", "r8", "r9", "r10", "r11");
  return (int)result;
}
static long descriptor_table(void) { return CALL(SYS_modify_ldt, 0, page, 16); }
static long lock_memory(void) {
  long result = CALL(SYS_mlock, page, 4096);
  if (result >= 0) CALL(SYS_munlock, page, 4096);
  return result;
}
static long another_filter(void) { return CALL(SYS_seccomp, 2, 0, &(uint32_t){0x7fff0000}); }
static long handle_signal(void) {
  struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } none = {0};
  return CALL(SYS_rt_sigaction, SIGUSR2, &none, 0, 8);
}

static const struct attempt {
  const char *name;
  long (*make)(void);
} attempts[] = {
    {"open a file", open_passwd},
    {"open a file by openat2", open2_passwd},
    {"create a file", create_file},
    {"make a folder", make_folder},
    {"make a link", make_link},
    {"look at a file", stat_passwd},
    {"open the root", list_root},
    {"open a file by the monitor's root", root_of_monitor},
    {"open its own memory", write_own_code},
    {"open /dev/kvm", open_kvm},
    {"open /dev/mem", open_memory},
    {"change its folder", change_folder},
    {"change its root", change_root},
    {"mount", mount_something},
    {"clone a tree of mounts", clone_tree},
    {"make a file system", new_mount},
    {"connect to a port", tcp},
    {"bind a port", bind_port},
    {"send a datagram", udp},
    {"connect to an abstract socket", abstract_socket},
    {"make a Unix socket", unix_socket},
    {"make a pair of sockets", socket_pair},
    {"make a vsock socket", vsock},
    {"make a netlink socket", netlink},
    {"make a packet socket", packets},
    {"make a crypto socket", crypto},
    {"execute a program", execute},
    {"execute memory", execute_memory},
    {"fork", fork_child},
    {"fork into a user namespace", fork_user_namespace},
    {"start a process by clone3", clone3_child},
    {"enter a new user namespace", new_user_namespace},
    {"enter a new network", new_network},
    {"enter another namespace", enter_namespace},
    {"trace the monitor", trace_monitor},
    {"read the monitor's memory", read_monitor},
    {"signal the monitor", signal_monitor},
    {"signal everybody", signal_all},
    {"watch the monitor", watch_monitor},
    {"take a descriptor of the monitor", steal_descriptor},
    {"compare with the monitor", compare_monitor},
    {"read limits of the monitor", limits_of_monitor},
    {"make a BPF map", bpf_map},
    {"count events", perf_event},
    {"make an io_uring", new_ring},
    {"register with an io_uring", register_ring},
    {"handle page faults", page_faults},
    {"join a keyring", keyring},
    {"add a key", add_key},
    {"watch files", watch_files},
    {"make a timer", timer_descriptor},
    {"make a message queue", message_queue},
    {"make shared memory", shared_segment},
    {"look at a message queue of the monitor", queue_of_monitor},
    {"make a POSIX message queue", posix_queue},
    {"take a gibibyte of memory", much_memory},
    {"start hundreds of processes", many_processes},
    {"read the host's name", host_name},
    {"read the path of its group", group_path},
    {"map memory as code", map_code},
    {"map a file as code", map_file_code},
    {"turn data into code", become_code},
    {"map a file as code over data", map_over_as_code},
    {"map memory that is locked", map_locked},
    {"move memory over other memory", move_over},
    {"have memory swapped out", swap_out},
    {"lend a priority", lend_priority},
    {"look at a file from a folder", stat_from_folder},
    {"write to what is read-only", write_read_only},
    {"map what is read-only to write", map_read_only_writable},
    {"open what is read-only to write", reopen_writable},
    {"change the mode of a file", change_mode},
    {"change the owner of a file", change_owner},
    {"lock a file", lock_file},
    {"set an attribute of a file", set_attribute},
    {"send signals by a descriptor", own_signals},
    {"an ioctl that no device needs", inject_input},
    {"restart the host", restart},
    {"swap", swap},
    {"load a module", load_module},
    {"set the clock", set_clock},
    {"set the host's name", set_name},
    {"read the kernel's log", kernel_log},
    {"choose its processors", choose_processor},
    {"go before others", go_first},
    {"run in real time", real_time},
    {"raise a limit", raise_limit},
    {"let others look into it", become_dumpable},
    {"become root", become_root},
    {"take capabilities", take_capabilities},
    {"open a file by handle", open_by_handle},
    {"call by numbers of x32", other_numbers},
    {"call by numbers of i386", old_entry},
    {"read its descriptor table", descriptor_table},
    {"lock memory", lock_memory},
    {"add a filter", another_filter},
    {"handle a signal", handle_signal},
};

EXPORT int count(void) { return sizeof attempts / sizeof *attempts; }

EXPORT int attempt(int i) {
  long result = attempts[i].make();
  return result >= 0 ? 0 : (int)result;
}

EXPORT void name(int i, char *out, int size) { snprintf(out, (size_t)size, "%s", attempts[i].name); }
