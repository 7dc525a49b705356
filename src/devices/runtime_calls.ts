import type { CallRule } from "../sandbox/mod.ts";

const FUTEX_PRIVATE_FLAG = 128;
const PROT_EXEC = 4;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Memory that is never code. */
export const memoryCalls: readonly CallRule[] = [
  {
    calls: ["mprotect"],
    when: [{ argument: 2, what: "the protection", never: { PROT_EXEC } }],
    why: "the engine's heap grows and shrinks; what is not code never becomes it",
  },
  {
    calls: ["mmap"],
    when: [
      { argument: 2, what: "the protection", never: { PROT_EXEC } },
      {
        argument: 3,
        what: "the flags",
        among: {
          "MAP_PRIVATE|MAP_ANONYMOUS": MAP_PRIVATE_ANONYMOUS,
          "MAP_DROPPABLE|MAP_ANONYMOUS": 0x28,
        },
        ignoring: {
          MAP_FIXED: 0x10,
          MAP_NORESERVE: 0x4000,
          MAP_STACK: 0x2_0000,
        },
      },
    ],
    why:
      "memory for the engine's heap and the window, for handlers of threads, and for random numbers without a call (Linux 6.11)",
  },
];

/** What the runtime itself does besides once its script runs: its engine, its threads, the C library. */
export const engineCalls: readonly CallRule[] = [
  {
    calls: ["futex"],
    when: [{
      argument: 1,
      what: "the operation",
      among: {
        FUTEX_WAIT_PRIVATE: FUTEX_PRIVATE_FLAG,
        FUTEX_WAKE_PRIVATE: 1 | FUTEX_PRIVATE_FLAG,
        FUTEX_WAIT_BITSET_PRIVATE: 9 | FUTEX_PRIVATE_FLAG,
        FUTEX_WAIT_BITSET: 9,
      },
      ignoring: { FUTEX_CLOCK_REALTIME: 256 },
    }],
    why: "threads of the engine wait for each other; no priorities are lent, nothing is requeued",
  },
  {
    calls: ["madvise"],
    when: [{
      argument: 2,
      what: "the advice",
      among: {
        MADV_DONTNEED: 4,
        MADV_DONTFORK: 10,
        MADV_DODUMP: 17,
      },
    }],
    why: "the garbage collector takes memory and gives it back, and so do threads that end",
  },
  { calls: ["munmap", "brk"], why: "the engine and the C library give memory back" },
  {
    calls: ["mremap"],
    when: [{ argument: 3, what: "the flags", among: { MREMAP_MAYMOVE: 1 } }],
    why: "the C library makes large blocks larger",
  },
  { calls: ["getpid", "gettid"], why: "the runtime asks who it is" },
  {
    calls: ["sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler"],
    why: "threads give way, and the C library looks at them when they start or end",
  },
  {
    calls: ["clock_gettime", "gettimeofday", "clock_nanosleep", "restart_syscall"],
    why: "time, where it is not read without a call",
  },
  { calls: ["getrandom"], why: "random numbers, also for hash tables" },
  {
    calls: ["rt_sigprocmask", "sigaltstack"],
    why: "threads begin and end, with a stack for handlers",
  },
  {
    calls: ["rseq", "set_robust_list"],
    why: "a thread of the runtime that has just been started, and begins only now",
  },
  {
    calls: ["prctl"],
    when: [{ argument: 0, what: "the option", among: { PR_SET_NAME: 15 } }],
    why: "the same, which names itself",
  },
  {
    calls: ["recvfrom"],
    why:
      "a thread of the runtime waits for signals at a socket, and anew when the process was stopped",
  },
  { calls: ["exit", "exit_group"], why: "threads and the process end" },
];

/** The same in a worker, with what it only tries. */
export const runtimeCalls: readonly CallRule[] = [
  ...memoryCalls,
  ...engineCalls,
  {
    calls: ["openat"],
    answer: { EACCES: 13 },
    why: "the C library looks for files, and does without",
  },
  {
    calls: ["ioctl"],
    answer: { ENOTTY: 25 },
    why: "the runtime asks whether a descriptor is a terminal",
  },
];
