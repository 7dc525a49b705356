/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * What programs speak with /dev/wl0. The interface of ChromeOS' guests, which existing programs expect, and two things
 * of our own, VIRTWL_IOCTL_NEW_EVENT and VIRTWL_IOCTL_DOORBELL.
 */
#ifndef _UAPI_LINUX_VIRTWL_H
#define _UAPI_LINUX_VIRTWL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Descriptors in one message. */
#define VIRTWL_SEND_MAX_ALLOCS 28

enum virtwl_ioctl_new_type {
	VIRTWL_IOCTL_NEW_CTX = 0,		/* socket of the host named "wayland" */
	VIRTWL_IOCTL_NEW_ALLOC = 1,		/* shared memory, `size` bytes */
	VIRTWL_IOCTL_NEW_PIPE_READ = 2,		/* pipe, of which the guest reads */
	VIRTWL_IOCTL_NEW_PIPE_WRITE = 3,	/* pipe, into which the guest writes */
	VIRTWL_IOCTL_NEW_DMABUF = 4,		/* ENOTTY here */
	VIRTWL_IOCTL_NEW_CTX_NAMED = 5,		/* socket of the host by `name` */
	VIRTWL_IOCTL_NEW_EVENT = 16,		/* ours: counter with the semantics of eventfd(2) */
};

struct virtwl_ioctl_new {
	__u32 type;	/* VIRTWL_IOCTL_NEW_* */
	int fd;		/* answer: the new descriptor */
	__u32 flags;	/* 0 */
	union {
		__u32 size;
		struct {
			__u32 width;
			__u32 height;
			__u32 format;
			__u32 stride0;
			__u32 stride1;
			__u32 stride2;
			__u32 offset0;
			__u32 offset1;
			__u32 offset2;
		} dmabuf;
		char name[32];	/* ended by a NUL when shorter */
	};
};

struct virtwl_ioctl_txn {
	int fds[VIRTWL_SEND_MAX_ALLOCS];	/* the first -1 ends the list */
	__u32 len;				/* bytes of data; for RECV: how many fit, then how many came */
	__u8 data[];
};

struct virtwl_ioctl_dmabuf_sync {
	__u32 flags;
};

#define VIRTWL_IOCTL_BASE 'w'
#define VIRTWL_IOCTL_NEW _IOWR(VIRTWL_IOCTL_BASE, 0x00, struct virtwl_ioctl_new)
#define VIRTWL_IOCTL_SEND _IOR(VIRTWL_IOCTL_BASE, 0x01, struct virtwl_ioctl_txn)
#define VIRTWL_IOCTL_RECV _IOW(VIRTWL_IOCTL_BASE, 0x02, struct virtwl_ioctl_txn)
#define VIRTWL_IOCTL_DMABUF_SYNC _IOR(VIRTWL_IOCTL_BASE, 0x03, struct virtwl_ioctl_dmabuf_sync)

/*
 * Ours, on the descriptor of an event: counts that come close to each other may be merged into one, so let it cross
 * without the device, and without a process of the host, where that is possible. Where not, nothing changes.
 */
#define VIRTWL_IOCTL_DOORBELL _IO(VIRTWL_IOCTL_BASE, 0x10)

#endif /* _UAPI_LINUX_VIRTWL_H */
