/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The parts of the driver and what they have in common.
 *
 * The host is not trusted: what it writes is copied once and checked before use, what it may make us keep is bounded.
 *
 * Locks, the outer first: power (bringing the device up and down), receive_lock (readers of a VFD), memory.lock and
 * range.lock (struct pages come and go), memory.mapped (faults against hanging up), the lock of a doorbell's slot, out_lock
 * and a VFD's lock (leaves; the last three are taken in interrupts).
 */
#ifndef VIRTIO_WL_H
#define VIRTIO_WL_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "protocol.h"
#include "virtwl.h"

struct iov_iter;
struct seq_file;
struct wl_doorbells;
struct wl_vfd;

/* A command to the device. What it points to stays until `done`. */
struct wl_request {
	struct list_head node;
	struct wl_vfd *vfd;		/* whom it is about; fails when that is dead */
	void *command;
	u32 command_size;
	struct scatterlist *data;	/* more of the command, or NULL */
	void *response;
	u32 response_size;
	u32 written;			/* bytes of the response */
	/* Called without locks, in interrupts, too. The error is ours, not the device's. */
	void (*done)(struct wl_request *request, int error);
};

enum wl_state {
	WL_DOWN,	/* being set up, or trying to */
	WL_UP,
	WL_GONE,	/* the device was removed */
};

/* A device, which lives until its last VFD is closed. */
struct wl_device {
	struct kref ref;
	struct virtio_device *vdev;
	struct miscdevice misc;
	char name[16];
	int index;

	bool has_flags, has_memory, has_size64, has_events, has_credit, has_doorbells, shows_once;
	phys_addr_t region;
	u64 region_size;		/* 0: no memory */
	u64 region_requested_size;

	struct mutex power;
	enum wl_state state;
	wait_queue_head_t state_wait;
	struct delayed_work reset_work;
	unsigned long last_reset;
	bool broken;			/* its queues hold nonsense */

	/* Commands. */
	spinlock_t out_lock;
	struct virtqueue *out;
	bool ready;
	u32 in_flight;
	struct list_head waiting;	/* for room in the queue */

	/* What the host sends; belongs to in_work. */
	struct virtqueue *in;
	struct work_struct in_work;
	void *parked;			/* a message that its VFD has no room for; without CREDIT only */
	u32 parked_length;
	struct {
		struct wl_vfd_transfer head;
		__le32 vfds[WL_MAX_VFDS];
	} message;
	struct wl_vfd *claimed[WL_MAX_VFDS];

	struct xarray vfds;		/* by id, each with a reference */
	u32 next_id;
	atomic_t host_vfds;
	atomic_long_t queued;		/* bytes that wait to be read */

	atomic_t closing;		/* VFDs of memory whose pages are being given up */
	wait_queue_head_t closing_wait;
};

enum wl_kind { WL_SOCKET, WL_PIPE, WL_EVENT, WL_MEMORY };

/* Messages that wait to be read: bytes, and VFDs that came with the first of them. */
struct wl_chunk {
	struct list_head node;
	u8 *data;
	u32 begin, end, size;
	u32 vfd_count;
	struct wl_vfd *vfds[];
};

/* A command of fixed size that a VFD has at hand, so that it can be sent anywhere, without memory. */
struct wl_note {
	struct wl_request request;
	struct wl_vfd_note command;
	struct wl_header response;
	bool sent;			/* and not answered yet; by the VFD's lock */
};

enum wl_bell_state {
	WL_BELL_UNASKED,
	WL_BELL_ASKED,		/* a slot is looked for, or the device is asked to bind it */
	WL_BELL_BOUND,
	WL_BELL_RELAYED,	/* there is no slot, or the device refused, or it is over */
};

/* How one direction of an event crosses without the device. */
struct wl_bell {
	struct wl_request request;
	struct wl_vfd_doorbell command;
	struct wl_header response;
	struct work_struct work;
	bool reads;
	enum wl_bell_state state;	/* by the VFD's lock */
	struct wl_doorbells *doorbells;	/* while it has a slot, with a reference */
	u32 slot;
	u8 __iomem *page;		/* to be written to; against RCU */
};

struct wl_bells {
	struct wl_bell read, write;
};

enum wl_memory_state {
	WL_BARE,	/* never mapped */
	WL_PAGES,	/* has struct pages */
	WL_PLAIN,	/* mapped without them: no direct I/O */
	WL_UNMAPPED,	/* given up */
};

/* Pages of the region that VFDs of the same memory lie in, and no other. */
struct wl_range {
	phys_addr_t start;
	u64 size;
	unsigned int vfds;
	bool stale;			/* the device was reset since: new memory here is other memory */
	struct mutex lock;		/* of what follows */
	unsigned int users;		/* VFDs that have the struct pages */
	struct wl_page_map *pages;
};

/* What a VFD of memory has beyond others. */
struct wl_memory {
	struct wl_vfd *vfd;
	phys_addr_t start;
	u64 size;
	u64 reserved;			/* bytes from `start` on that no other memory may lie in */
	struct rw_semaphore mapped;	/* pages are put into page tables, or taken out of all */
	bool hung_up;
	struct mutex lock;		/* of what follows; `state` is read without it */
	struct wl_range *range;		/* until it is unmapped */
	enum wl_memory_state state;
	wait_queue_head_t state_wait;
	struct work_struct make_work;
	void *window;
};

/*
 * A virtual file descriptor. Who owns it closes it, once: a file, a chunk that waits to be read, or, after the host has
 * announced it and before it came in a message, the table.
 */
struct wl_vfd {
	struct kref ref;
	struct wl_device *wl;
	u32 id;
	enum wl_kind kind;
	bool readable, writable;
	bool owned;			/* by other than the table; belongs to in_work */
	bool has_file;			/* a program has it, or is about to */
	struct inode *inode;		/* of the file, while that is open; memory only */

	spinlock_t lock;
	wait_queue_head_t wait;
	bool hung_up;			/* the host has closed it, or broke the protocol */
	bool dead;			/* the device was reset since; written under out_lock */
	bool closed;			/* by its owner */
	bool unmapped;			/* no page of it is in use; memory only */
	bool finished;

	/* Receiving. */
	struct mutex receive_lock;
	struct list_head chunks;
	u32 queued;
	u32 uncredited;			/* bytes that came and for which no credit was given back */
	u32 consumed;			/* those of them that were read */

	/* Sending. */
	u32 sends;
	size_t send_bytes;
	int send_error;			/* of one that nobody waited for */

	u64 counter;			/* of an event */
	bool armed;
	struct wl_bells *bells;		/* of an event that may cross without the device */
	struct wl_memory *memory;

	struct wl_note close, arm, credit;
	struct list_head closing;
	struct delayed_work unmap_work;
	unsigned long unmap_delay;
};

#define wl_bad(wl, format, ...) \
	pr_warn_ratelimited("%s: from the host: " format "\n", (wl)->name, ##__VA_ARGS__)

/* device.c */
extern struct workqueue_struct *wl_workqueue;
void wl_device_put(struct wl_device *wl);
int wl_await_up(struct wl_device *wl);
void wl_break(struct wl_device *wl);

/* request.c */
int wl_submit(struct wl_request *request);
int wl_response_error(u32 type);
void wl_out_done(struct virtqueue *out);
void wl_out_drain(struct wl_device *wl);
void wl_note_init(struct wl_note *note, struct wl_vfd *vfd, u32 type, u32 size);
bool wl_note_send(struct wl_note *note, u32 bytes);

/* vfd.c */
struct wl_vfd *wl_vfd_alloc(struct wl_device *wl, enum wl_kind kind, bool readable, bool writable);
void wl_vfd_put(struct wl_vfd *vfd);
struct wl_vfd *wl_vfd_find(struct wl_device *wl, u32 id);
void wl_vfd_hang_up(struct wl_vfd *vfd);
void wl_vfd_finish_once(struct wl_vfd *vfd);
void wl_vfd_close(struct wl_vfd *vfd);
void wl_vfd_drop(struct wl_vfd *vfd);
void wl_vfd_retire_all(struct wl_device *wl);

/* vfd_file.c */
int wl_files_init(void);
void wl_files_exit(void);
struct file *wl_vfd_file(struct wl_vfd *vfd);
void wl_vfd_file_forget(struct file *file);
struct wl_vfd *wl_file_vfd(struct file *file);

/* new.c */
long wl_new(struct wl_device *wl, struct virtwl_ioctl_new __user *argument);
void wl_announced(struct wl_device *wl, const void *message, u32 length);

/* send.c */
bool wl_has_room(const struct wl_vfd *vfd);
long wl_ioctl_send(struct file *file, struct virtwl_ioctl_txn __user *argument);
ssize_t wl_write(struct kiocb *iocb, struct iov_iter *from);
ssize_t wl_send_bytes(struct wl_vfd *vfd, struct iov_iter *from, bool nonblock);

/* receive.c */
void wl_in_work(struct work_struct *work);
void wl_in_resume(struct wl_device *wl);
long wl_ioctl_recv(struct file *file, struct virtwl_ioctl_txn __user *argument);
ssize_t wl_read(struct kiocb *iocb, struct iov_iter *to);
void wl_chunk_free(struct wl_chunk *chunk);
void wl_give_credit(struct wl_vfd *vfd);

/* event.c */
void wl_event_arm(struct wl_vfd *vfd);
void wl_event_add(struct wl_vfd *vfd, u64 value);
ssize_t wl_event_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t wl_event_write(struct kiocb *iocb, struct iov_iter *from);

/* doorbell.c */
int wl_doorbells_init(void);
void wl_doorbells_exit(void);
long wl_bell_ioctl(struct wl_vfd *vfd);
void wl_bell_want(struct wl_vfd *vfd, bool reads);
bool wl_bell_ring(struct wl_vfd *vfd);
bool wl_bell_is_asked(const struct wl_vfd *vfd);
void wl_bell_release(struct wl_vfd *vfd);
void wl_bell_flush(void);
void wl_bell_show(struct seq_file *seq, const struct wl_vfd *vfd);

/* memory.c */
struct wl_memory *wl_memory_reserve(struct wl_device *wl, u64 pfn, u64 size);
int wl_memory_mmap(struct file *file, struct vm_area_struct *vma);
void wl_memory_make_work(struct work_struct *work);
void wl_memory_retire(struct wl_memory *memory);
void wl_memory_hang_up(struct wl_vfd *vfd);
bool wl_memory_unmap(struct wl_memory *memory);
bool wl_memory_is_mapped(const struct wl_memory *memory);
void wl_memory_forget(const struct wl_device *wl);

static inline bool wl_is_nonblocking(const struct kiocb *iocb)
{
	return iocb->ki_filp->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT;
}

#endif /* VIRTIO_WL_H */
