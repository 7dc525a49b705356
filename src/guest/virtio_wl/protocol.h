/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Virtio Wayland between driver and device. docs/virtio-wl.md describes it. */
#ifndef VIRTIO_WL_PROTOCOL_H
#define VIRTIO_WL_PROTOCOL_H

#include <linux/build_bug.h>
#include <linux/types.h>

#define WL_DEVICE_ID 63

/* The shared memory region that VFDs of memory lie in. */
#define WL_REGION 0

/* Queues. */
#define WL_IN 0
#define WL_OUT 1
#define WL_IN_BUFFER_SIZE 4096

/* Feature bits; those from 16 on are ours. */
#define WL_F_TRANS_FLAGS 1
#define WL_F_USE_SHMEM 3
#define WL_F_SIZE64 16
#define WL_F_EVENTS 17
#define WL_F_CREDIT 18
#define WL_F_DOORBELLS 19
#define WL_F_SHOW_ONCE 20

/* Types of messages. */
#define WL_CMD_VFD_NEW 0x100
#define WL_CMD_VFD_CLOSE 0x101
#define WL_CMD_VFD_SEND 0x102
#define WL_CMD_VFD_RECV 0x103
#define WL_CMD_VFD_NEW_CTX 0x104
#define WL_CMD_VFD_NEW_PIPE 0x105
#define WL_CMD_VFD_HUP 0x106
#define WL_CMD_VFD_NEW_CTX_NAMED 0x10a
#define WL_CMD_VFD_NEW_EVENT 0x180
#define WL_CMD_VFD_EVENT_ARM 0x181
#define WL_CMD_VFD_CREDIT 0x182
#define WL_CMD_VFD_DOORBELL 0x183

#define WL_RESP_OK 0x1000
#define WL_RESP_VFD_NEW 0x1001
#define WL_RESP_ERR 0x1100
#define WL_RESP_OUT_OF_MEMORY 0x1101
#define WL_RESP_INVALID_ID 0x1102
#define WL_RESP_INVALID_TYPE 0x1103
#define WL_RESP_INVALID_FLAGS 0x1104
#define WL_RESP_INVALID_CMD 0x1105

/* Flags of a VFD. */
#define WL_VFD_WRITE 0x1
#define WL_VFD_READ 0x2		/* without TRANS_FLAGS: can be mapped */
#define WL_VFD_CONTROL 0x4	/* without TRANS_FLAGS: a socket */
#define WL_VFD_EVENT 0x100

/* Ids that the guest gives, and those that the host gives. */
#define WL_GUEST_ID_MAX 0x3fffffffu
#define WL_HOST_ID_BIT 0x40000000u
#define WL_HOST_ID_MAX 0x7fffffffu

#define WL_PFN_SHIFT 12
#define WL_NAME_SIZE 32
#define WL_MAX_VFDS 28

/* Bytes that the host may send on a VFD before the driver gives back credit, and how many it gives back at once. */
#define WL_CREDIT (256 * 1024)
#define WL_CREDIT_PORTION (64 * 1024)

struct wl_header {
	__le32 type;
	__le32 flags;
};

/* CLOSE, HUP, EVENT_ARM; CREDIT with `bytes`. */
struct wl_vfd_note {
	struct wl_header header;
	__le32 vfd_id;
	__le32 bytes;
};

#define WL_VFD_NOTE_SIZE 12
static_assert(offsetof(struct wl_vfd_note, bytes) == WL_VFD_NOTE_SIZE);

/* DOORBELL; flags are READ or WRITE. */
struct wl_vfd_doorbell {
	struct wl_header header;
	__le32 vfd_id;
	__le32 slot;
	__le32 flags;
};

static_assert(sizeof(struct wl_vfd_doorbell) == 20);

/* NEW and its kin, in both directions. */
struct wl_vfd_new {
	struct wl_header header;
	__le32 vfd_id;
	__le32 flags;
	__le64 pfn;
	__le32 size;
	union {
		char name[WL_NAME_SIZE];
		__le32 size_high;	/* with SIZE64 */
		__u8 rest[36];
	};
};

static_assert(sizeof(struct wl_vfd_new) == 64);

/* What there is of it at least, without and with SIZE64. */
#define WL_VFD_NEW_SHORT 28
#define WL_VFD_NEW_LARGE 32
static_assert(offsetof(struct wl_vfd_new, size_high) == WL_VFD_NEW_SHORT);

/* SEND and RECV; data follows the ids. */
struct wl_vfd_transfer {
	struct wl_header header;
	__le32 vfd_id;
	__le32 vfd_count;
	__le32 vfds[];
};

static_assert(sizeof(struct wl_vfd_transfer) == 16);

#endif /* VIRTIO_WL_PROTOCOL_H */
