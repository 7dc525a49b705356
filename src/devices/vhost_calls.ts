import type { CallRule, Named } from "../sandbox/mod.ts";

/** Commands of fcntl for modes and seals of what is open, and copies of a descriptor. */
export const descriptorCommands: Named = {
  F_GETFL: 3,
  F_SETFL: 4,
  F_DUPFD_CLOEXEC: 1030,
  F_ADD_SEALS: 1033,
  F_GET_SEALS: 1034,
};

/** What every device does, as a backend of vhost-user that waits for events. */
export const vhostCalls: readonly CallRule[] = [
  { calls: ["epoll_wait"], why: "it waits for kicks, its frontend and its monitor" },
  {
    calls: ["write", "preadv2"],
    why: "it rings its guest, takes kicks, and says what is wrong: of descriptors that it holds",
  },
  {
    calls: ["recvmsg", "sendmsg"],
    why: "messages of its frontend and its monitor: it can make no socket but those it was given",
  },
  { calls: ["epoll_create1", "epoll_ctl"], why: "queues come and go, and their kicks with them" },
  { calls: ["poll"], why: "it waits for one descriptor" },
  { calls: ["close"], why: "what it does not need any more" },
  {
    calls: ["mmap"],
    when: [
      { argument: 2, what: "the protection", never: { PROT_EXEC: 4 } },
      {
        argument: 3,
        what: "the flags",
        among: { "MAP_SHARED|MAP_FIXED": 0x11, "MAP_PRIVATE|MAP_FIXED": 0x12 },
      },
    ],
    why: "the guest's memory comes into its window, and memory of others that it may only read",
  },
  {
    calls: ["newfstatat"],
    when: [{ argument: 3, what: "the flags", among: { AT_EMPTY_PATH: 0x1000 } }],
    why: "how large memory is that it is given; of paths its root has none to look for",
  },
  { calls: ["fstat"], why: "the same in later C libraries" },
  {
    calls: ["fcntl"],
    when: [{ argument: 1, what: "the command", among: descriptorCommands }],
    why:
      "modes and seals of what it is given, and copies; nobody is made the owner of a descriptor",
  },
  { calls: ["memfd_create", "ftruncate"], why: "the memory that tells which requests are in hand" },
  { calls: ["eventfd2"], why: "events of its own" },
  { calls: ["accept4"], why: "frontends that connect to where it listens" },
];
