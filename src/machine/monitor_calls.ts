import { descriptorCommands, engineCalls, memoryCalls } from "../devices/mod.ts";
import type { CallRule } from "../sandbox/mod.ts";

/** What threads are made with by the C library: memory, files, handlers and process are shared. */
const THREAD = 0x3d_0f00;
const PROT_READ_EXEC = 5;
const PROT_READ_WRITE_EXEC = 7;

/** What the monitor and the threads of its vCPUs have in common. */
const commonCalls: readonly CallRule[] = [
  {
    calls: ["ioctl"],
    when: [{
      argument: 1,
      what: "the request",
      among: { "KVMIO": 0xae00 },
      ignoring: { "its number, direction and size": 0xffff_00ff },
    }],
    why: "the machine; KVM itself says what each of its descriptors takes",
  },
  { calls: ["read", "write", "preadv2"], why: "kicks, calls, and words of one thread to another" },
  {
    calls: ["epoll_wait", "close"],
    why: "the runtime's loop, which runs when a vCPU's thread ends",
  },
  ...engineCalls,
  { calls: ["rt_sigreturn"], why: "handlers of signals return, that of a vCPU's kick among them" },
  {
    calls: ["mprotect", "pkey_mprotect"],
    when: [{
      argument: 2,
      what: "the protection",
      among: {
        "PROT_READ|PROT_WRITE|PROT_EXEC": PROT_READ_WRITE_EXEC,
        "PROT_READ|PROT_EXEC": PROT_READ_EXEC,
      },
    }],
    why:
      "the engine makes code where it may be written to anyhow, and functions of the native library get their ways in when they are first called",
  },
  ...memoryCalls,
];

/** What the engine or the C library asks, and does without. */
const askedCalls: readonly CallRule[] = [
  {
    calls: ["ioctl"],
    answer: { ENOTTY: 25 },
    why: "the runtime asks whether a descriptor is a terminal",
  },
];

/**
 * All that the thread of a vCPU does once it runs it: exits of its guest, which change what devices of the machine have
 * in memory, ring backends and tell KVM. It opens nothing, connects to nothing and starts nothing.
 */
export const vcpuCalls: readonly CallRule[] = [
  ...commonCalls,
  {
    calls: ["openat"],
    answer: { EACCES: 13 },
    why: "the C library looks how many processors there are, and does without",
  },
  ...askedCalls,
];

/**
 * All that the monitor does once its devices are open. It executes no program, makes no process, reaches no network,
 * mounts nothing, enters no namespace, and connects to nobody: its starter does, to those it was told of. Which files it
 * opens and makes is in {@linkcode monitorFiles}.
 */
export const monitorCalls: readonly CallRule[] = [
  ...commonCalls,
  {
    calls: ["epoll_pwait", "epoll_pwait2", "epoll_create1", "epoll_ctl", "poll", "ppoll"],
    why: "it waits for its workers, its clients and its terminal",
  },
  {
    calls: ["recvmsg", "sendmsg", "sendto", "readv", "writev", "shutdown", "accept4"],
    why: "messages of workers and clients, and what the guest prints",
  },
  {
    calls: ["socket", "socketpair"],
    when: [
      { argument: 0, what: "the family", among: { AF_UNIX: 1 } },
      {
        argument: 1,
        what: "the type",
        among: { SOCK_STREAM: 1 },
        ignoring: { SOCK_NONBLOCK: 0x800, SOCK_CLOEXEC: 0x8_0000 },
      },
    ],
    why:
      "connections to workers, to other VMs, to sockets that the guest may reach; none to a network",
  },
  {
    calls: ["bind", "listen", "getsockname", "getpeername", "getsockopt", "setsockopt"],
    why: "sockets in its runtime directory, and whom it has accepted there",
  },
  {
    calls: ["eventfd2", "memfd_create", "pipe2", "dup", "dup3"],
    why: "what a machine and its workers are given",
  },
  {
    calls: ["fcntl"],
    when: [{
      argument: 1,
      what: "the command",
      among: {
        ...descriptorCommands,
        F_GETFD: 1,
        F_SETFD: 2,
        F_GETLK: 5,
        F_SETLK: 6,
        F_OFD_GETLK: 36,
        F_OFD_SETLK: 37,
      },
    }],
    why:
      "modes, seals, locks of disk images and of the runtime's caches; nobody is made the owner of a descriptor",
  },
  {
    calls: ["mmap"],
    when: [
      { argument: 2, what: "the protection", never: { PROT_EXEC: 4 } },
      {
        argument: 3,
        what: "the flags",
        among: { MAP_SHARED: 1, MAP_PRIVATE: 2 },
        ignoring: { MAP_FIXED: 0x10, MAP_NORESERVE: 0x4000, MAP_POPULATE: 0x8000 },
      },
    ],
    why: "memory of guests, and files as data",
  },
  {
    calls: [
      "openat",
      "newfstatat",
      "fstat",
      "statx",
      "stat",
      "lstat",
      "access",
      "readlink",
      "getdents64",
    ],
    why: "its runtime directory, and what is there",
  },
  {
    calls: ["rename", "unlink", "unlinkat", "rmdir", "getcwd"],
    why: "what is in its runtime directory",
  },
  {
    calls: ["fchmod"],
    when: [{ argument: 1, what: "the mode", among: { "0700": 0o700, "0733": 0o733 } }],
    why: "the folder of passt's socket, which passt alone may use while it starts",
  },
  {
    calls: ["pread64", "pwrite64", "preadv", "pwritev", "pwritev2", "sendfile", "lseek"],
    why: "memory of guests from and to files",
  },
  {
    calls: ["ftruncate", "fallocate", "fdatasync", "fsync"],
    why: "the size of files, and their safety",
  },
  {
    calls: ["ioctl"],
    when: [{
      argument: 1,
      what: "the request",
      among: {
        TCGETS: 0x5401,
        TCSETS: 0x5402,
        TCSETSW: 0x5403,
        TCSETSF: 0x5404,
        TCGETS2: 0x802c_542a,
        TCSETS2: 0x402c_542b,
        TCSETSW2: 0x402c_542c,
        TCSETSF2: 0x402c_542d,
        TIOCGWINSZ: 0x5413,
        FIONBIO: 0x5421,
      },
    }],
    why: "the terminal of whoever runs it",
  },
  {
    calls: ["tgkill"],
    when: [{ argument: 2, what: "the signal", among: { "SIGRTMIN+5": 39 } }],
    why: "it takes its vCPUs out of their guest",
  },
  {
    calls: ["madvise"],
    when: [{
      argument: 2,
      what: "the advice",
      among: { MADV_HUGEPAGE: 14, MADV_GUARD_INSTALL: 102, MADV_GUARD_REMOVE: 103 },
    }],
    why:
      "memory of guests in huge pages, and guards of the stacks that later C libraries make for threads",
  },
  {
    calls: ["clone"],
    when: [{ argument: 0, what: "the flags", among: { "those of a thread": THREAD } }],
    why: "threads of the runtime and of vCPUs",
  },
  {
    calls: ["clone3"],
    answer: { ENOSYS: 38 },
    why: "the C library takes clone then, whose flags can be seen",
  },
  { calls: ["seccomp"], why: "threads of vCPUs give up more" },
  {
    calls: ["prctl"],
    when: [{ argument: 0, what: "the option", among: { PR_SET_NO_NEW_PRIVS: 38 } }],
    why: "the C library's way to do so begins with it",
  },
  {
    calls: ["rt_sigaction", "wait4"],
    why: "signals of whoever runs it, and its starter's end",
  },
  {
    calls: ["prlimit64"],
    when: [{ argument: 0, what: "the process", among: { "itself": 0 } }],
    why: "how many descriptors it may have",
  },
  {
    calls: ["membarrier", "sysinfo", "uname", "getrusage", "getuid", "geteuid"],
    why: "the runtime looks after its threads, and where it runs",
  },
  ...askedCalls,
];
