import type { CallRule } from "../sandbox/mod.ts";

/** What a device of a device VM does besides: its frontend is at the other end of a virtual descriptor. */
export const guestCalls: readonly CallRule[] = [
  {
    calls: ["ioctl"],
    when: [{
      argument: 1,
      what: "the request",
      among: {
        VIRTWL_IOCTL_NEW: 0xc030_7700,
        VIRTWL_IOCTL_SEND: 0x8074_7701,
        VIRTWL_IOCTL_RECV: 0x4074_7702,
        VIRTWL_IOCTL_DOORBELL: 0x7710,
      },
    }],
    why: "messages of its frontend, memory to share with it, and events that ring there",
  },
  {
    calls: ["fcntl"],
    when: [{ argument: 1, what: "the command", among: { F_SETFD: 2 } }],
    why: "memory that its driver makes for it is kept from children",
  },
];
