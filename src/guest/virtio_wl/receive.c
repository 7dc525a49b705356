// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* What the host sends: the in queue, what waits to be read, and its readers. */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "wl.h"

/* Short messages share a chunk of this size, longer ones take a larger. */
#define WL_CHUNK_SHORT 1024
#define WL_CHUNK_LONG 4096

/* Buffers that go back to the host before it is told. */
#define WL_KICK_AFTER 32

void wl_chunk_free(struct wl_chunk *chunk)
{
	kfree(chunk->data);
	kfree(chunk);
}

static struct wl_chunk *wl_chunk_alloc(u32 size, u32 vfd_count)
{
	struct wl_chunk *chunk = kzalloc(struct_size(chunk, vfds, vfd_count), GFP_KERNEL);

	if (!chunk)
		return NULL;
	if (vfd_count)
		chunk->size = max(size, 1u);
	else
		chunk->size = size <= WL_CHUNK_SHORT ? WL_CHUNK_SHORT : WL_CHUNK_LONG;
	chunk->vfd_count = vfd_count;
	chunk->data = kmalloc(chunk->size, GFP_KERNEL);
	if (chunk->data)
		return chunk;
	kfree(chunk);
	return NULL;
}

/* Fills the room that the last chunk has. By the VFD's lock. Returns how many bytes went there. */
static u32 wl_fill_last(struct wl_vfd *vfd, const u8 *data, u32 size)
{
	struct wl_chunk *last;

	if (vfd->closed || list_empty(&vfd->chunks))
		return 0;
	last = list_last_entry(&vfd->chunks, struct wl_chunk, node);
	size = min(size, last->size - last->end);
	memcpy(last->data + last->end, data, size);
	last->end += size;
	vfd->queued += size;
	return size;
}

/* Queues bytes and the VFDs that come with them, which the queue owns then. */
static int wl_append(struct wl_vfd *vfd, const u8 *data, u32 size, struct wl_vfd **vfds, u32 count)
{
	struct wl_chunk *chunk;
	u32 filled = 0, rest;
	bool closed;

	if (!count) {
		spin_lock_irq(&vfd->lock);
		filled = wl_fill_last(vfd, data, size);
		spin_unlock_irq(&vfd->lock);
		atomic_long_add(filled, &vfd->wl->queued);
		if (filled == size)
			return 0;
	}
	rest = size - filled;
	chunk = wl_chunk_alloc(rest, count);
	if (!chunk)
		return -ENOMEM;
	memcpy(chunk->data, data + filled, rest);
	chunk->end = rest;
	if (count)
		memcpy(chunk->vfds, vfds, count * sizeof(*vfds));

	/* Counted first: whoever closes the VFD subtracts what it finds. */
	atomic_long_add(rest, &vfd->wl->queued);
	spin_lock_irq(&vfd->lock);
	closed = vfd->closed;
	if (!closed) {
		list_add_tail(&chunk->node, &vfd->chunks);
		vfd->queued += rest;
	}
	spin_unlock_irq(&vfd->lock);
	if (closed) {
		atomic_long_sub(rest, &vfd->wl->queued);
		wl_chunk_free(chunk);
		return -EPIPE;
	}
	return 0;
}

/* Takes a VFD that was announced and came in no message yet, with a reference that owns it. */
static struct wl_vfd *wl_claim(struct wl_device *wl, u32 id)
{
	struct wl_vfd *vfd = wl_vfd_find(wl, id);

	if (!vfd)
		return NULL;
	if (vfd->owned) {
		wl_vfd_put(vfd);
		return NULL;
	}
	vfd->owned = true;
	return vfd;
}

/* Takes the VFDs of a message. Returns how many; fewer than @count when one of them is not there to be had. */
static u32 wl_claim_all(struct wl_device *wl, u32 count)
{
	u32 claimed = 0, i;

	for (i = 0; i < count; i++) {
		struct wl_vfd *vfd = wl_claim(wl, le32_to_cpu(wl->message.vfds[i]));

		if (vfd)
			wl->claimed[claimed++] = vfd;
	}
	return claimed;
}

static void wl_close_claimed(struct wl_device *wl, u32 count)
{
	while (count)
		wl_vfd_close(wl->claimed[--count]);
}

/* Whether a VFD may take more now. With CREDIT that is the host's to know. */
static bool wl_can_take(struct wl_device *wl, struct wl_vfd *vfd, u32 size)
{
	return wl->has_credit || !vfd->queued || vfd->queued + size <= WL_CREDIT || vfd->hung_up;
}

/* Whether the host keeps to its credit. */
static bool wl_charge(struct wl_device *wl, struct wl_vfd *vfd, u32 size)
{
	bool fits;

	if (!wl->has_credit)
		return true;
	spin_lock_irq(&vfd->lock);
	fits = vfd->uncredited + size <= WL_CREDIT;
	if (fits)
		vfd->uncredited += size;
	spin_unlock_irq(&vfd->lock);
	return fits;
}

/* Gives credit for what was read, in large portions. Anywhere. */
void wl_give_credit(struct wl_vfd *vfd)
{
	unsigned long flags;
	u32 bytes = 0;

	if (!vfd->wl->has_credit)
		return;
	spin_lock_irqsave(&vfd->lock, flags);
	if (vfd->consumed >= WL_CREDIT_PORTION && !vfd->credit.sent) {
		bytes = vfd->consumed;
		vfd->consumed = 0;
		vfd->uncredited -= bytes;
	}
	spin_unlock_irqrestore(&vfd->lock, flags);
	if (!bytes || wl_note_send(&vfd->credit, bytes))
		return;
	/* Another has just sent some; this portion goes with its next. */
	spin_lock_irqsave(&vfd->lock, flags);
	vfd->consumed += bytes;
	vfd->uncredited += bytes;
	spin_unlock_irqrestore(&vfd->lock, flags);
}

static void wl_consumed(struct wl_vfd *vfd, u32 bytes)
{
	spin_lock_irq(&vfd->lock);
	vfd->consumed += bytes;
	spin_unlock_irq(&vfd->lock);
	wl_give_credit(vfd);
}

static void wl_received_event(struct wl_device *wl, struct wl_vfd *vfd, const u8 *data, u32 size, u32 count)
{
	__le64 value;

	if (size != sizeof(value) || count || !wl_charge(wl, vfd, size)) {
		wl_bad(wl, "%u bytes and %u VFDs for event %#x", size, count, vfd->id);
		wl_vfd_hang_up(vfd);
		return;
	}
	memcpy(&value, data, sizeof(value));
	wl_event_add(vfd, le64_to_cpu(value));
	/* Nothing of it waits in a queue. */
	wl_consumed(vfd, size);
}

/* Queues a message for a socket or a pipe. A part that is missing would go unnoticed, so then the VFD is hung up. */
static void wl_received_stream(struct wl_device *wl, struct wl_vfd *vfd, const u8 *data, u32 size, u32 count)
{
	unsigned long limit = totalram_pages() / 4 * PAGE_SIZE;
	u32 claimed = wl_claim_all(wl, count);
	int error = 0;

	if (vfd->hung_up || claimed < count) {
		wl_bad(wl, "a message for VFD %#x that it must not have", vfd->id);
		error = -EPROTO;
	} else if (!wl_charge(wl, vfd, size)) {
		wl_bad(wl, "more than its credit for VFD %#x", vfd->id);
		error = -EPROTO;
	} else if (atomic_long_read(&wl->queued) + size > limit) {
		wl_bad(wl, "more than programs read, VFD %#x is hung up", vfd->id);
		error = -ENOMEM;
	} else if (size || count) {
		error = wl_append(vfd, data, size, wl->claimed, count);
	}
	if (error) {
		wl_vfd_hang_up(vfd);
		wl_close_claimed(wl, claimed);
		return;
	}
	wake_up_poll(&vfd->wait, EPOLLIN | EPOLLRDNORM);
}

/* RECV. False when the message must wait. */
static bool wl_received(struct wl_device *wl, const u8 *buffer, u32 length)
{
	const u32 head_size = sizeof(wl->message.head);
	u32 count, size;
	struct wl_vfd *vfd;
	bool taken = true;

	if (length < head_size) {
		wl_bad(wl, "RECV of %u bytes", length);
		return true;
	}
	vfd = wl_vfd_find(wl, le32_to_cpu(wl->message.head.vfd_id));
	count = le32_to_cpu(wl->message.head.vfd_count);
	if (count > WL_MAX_VFDS || length - head_size < count * sizeof(__le32)) {
		wl_bad(wl, "RECV of %u bytes with %u VFDs", length, count);
		if (vfd)
			wl_vfd_hang_up(vfd);
	} else if (!vfd) {
		/* Closed meanwhile, as a rule. */
		wl_close_claimed(wl, wl_claim_all(wl, count));
	} else {
		const u8 *data = buffer + head_size + count * sizeof(__le32);

		size = length - head_size - count * sizeof(__le32);
		if (vfd->kind == WL_EVENT) {
			wl_received_event(wl, vfd, data, size, count);
		} else if (vfd->kind == WL_MEMORY || !vfd->readable) {
			wl_bad(wl, "RECV for VFD %#x, which cannot be read", vfd->id);
			wl_close_claimed(wl, wl_claim_all(wl, count));
		} else if (!wl_can_take(wl, vfd, size)) {
			taken = false;
		} else {
			wl_received_stream(wl, vfd, data, size, count);
		}
	}
	if (vfd)
		wl_vfd_put(vfd);
	return taken;
}

static void wl_hung_up(struct wl_device *wl, u32 length)
{
	struct wl_vfd *vfd;

	if (length < WL_VFD_NOTE_SIZE) {
		wl_bad(wl, "HUP of %u bytes", length);
		return;
	}
	vfd = wl_vfd_find(wl, le32_to_cpu(wl->message.head.vfd_id));
	if (!vfd)
		return;
	wl_vfd_hang_up(vfd);
	wl_vfd_put(vfd);
}

/* One message. False when it must wait. */
static bool wl_receive(struct wl_device *wl, const u8 *buffer, u32 length)
{
	u32 type;

	length = min_t(u32, length, WL_IN_BUFFER_SIZE);
	/* A copy: the host can change the buffer even now. */
	memset(&wl->message, 0, sizeof(wl->message));
	memcpy(&wl->message, buffer, min_t(u32, length, sizeof(wl->message)));
	barrier();
	type = le32_to_cpu(wl->message.head.header.type);
	switch (length < sizeof(struct wl_header) ? 0 : type) {
	case WL_CMD_VFD_NEW:
		wl_announced(wl, &wl->message, min_t(u32, length, sizeof(wl->message)));
		return true;
	case WL_CMD_VFD_RECV:
		return wl_received(wl, buffer, length);
	case WL_CMD_VFD_HUP:
		wl_hung_up(wl, length);
		return true;
	default:
		wl_bad(wl, "a message of %u bytes, type %#x", length, type);
		return true;
	}
}

/* Keeps a message back. False when it need not be, as there is room meanwhile. */
static bool wl_park(struct wl_device *wl, void *buffer, u32 length)
{
	spin_lock_irq(&wl->out_lock);
	wl->parked = buffer;
	wl->parked_length = length;
	spin_unlock_irq(&wl->out_lock);
	/* A reader that made room before it could see this would not have come back. */
	return !wl_receive(wl, buffer, length);
}

static void wl_give_back(struct wl_device *wl, void *buffer)
{
	struct scatterlist list;

	sg_init_one(&list, buffer, WL_IN_BUFFER_SIZE);
	if (virtqueue_add_inbuf(wl->in, &list, 1, buffer, GFP_KERNEL))
		free_page((unsigned long)buffer);
}

/* Takes what the host has sent. It alone touches the in queue while the device is up. */
void wl_in_work(struct work_struct *work)
{
	struct wl_device *wl = container_of(work, struct wl_device, in_work);
	struct virtqueue *in = wl->in;
	u32 given = 0, length;
	void *buffer;

	if (!READ_ONCE(wl->ready))
		return;
	buffer = wl->parked;
	length = wl->parked_length;
	if (buffer && !wl_receive(wl, buffer, length))
		return;
	do {
		virtqueue_disable_cb(in);
		for (;;) {
			if (buffer) {
				spin_lock_irq(&wl->out_lock);
				wl->parked = NULL;
				spin_unlock_irq(&wl->out_lock);
				wl_give_back(wl, buffer);
				if (++given % WL_KICK_AFTER == 0)
					virtqueue_kick(in);
				cond_resched();
			}
			buffer = READ_ONCE(wl->ready) ? virtqueue_get_buf(in, &length) : NULL;
			if (!buffer)
				break;
			if (!wl_receive(wl, buffer, length) && wl_park(wl, buffer, length)) {
				virtqueue_kick(in);
				return;
			}
		}
	} while (READ_ONCE(wl->ready) && !virtqueue_is_broken(in) && !virtqueue_enable_cb(in));
	virtqueue_kick(in);
	if (virtqueue_is_broken(in))
		wl_break(wl);
}

/* A reader has made room, or a VFD is closed: a message that was kept back may go on. */
void wl_in_resume(struct wl_device *wl)
{
	if (!READ_ONCE(wl->parked))
		return;
	spin_lock_irq(&wl->out_lock);
	if (wl->ready)
		queue_work(wl_workqueue, &wl->in_work);
	spin_unlock_irq(&wl->out_lock);
}

/* Waits until there is something to read, or the end. Returns with receive_lock, or an error. */
static int wl_await_readable(struct wl_vfd *vfd, bool nonblock)
{
	for (;;) {
		bool readable;
		int error = mutex_lock_interruptible(&vfd->receive_lock);

		if (error)
			return error;
		spin_lock_irq(&vfd->lock);
		readable = !list_empty(&vfd->chunks) || vfd->hung_up;
		spin_unlock_irq(&vfd->lock);
		if (readable)
			return 0;
		mutex_unlock(&vfd->receive_lock);
		if (nonblock)
			return -EAGAIN;
		error = wait_event_interruptible(vfd->wait,
						 !list_empty_careful(&vfd->chunks) || READ_ONCE(vfd->hung_up));
		if (error)
			return error;
	}
}

/*
 * Copies bytes without taking them from the queue; that is up to wl_commit(). Stops before a message that has VFDs,
 * since those come with its first byte, unless it is the first one.
 */
static ssize_t wl_peek(struct wl_vfd *vfd, struct iov_iter *to, struct wl_chunk **first)
{
	struct wl_chunk *chunk = NULL, *next;
	size_t total = 0, size;
	u32 end;

	*first = NULL;
	for (;;) {
		spin_lock_irq(&vfd->lock);
		next = list_prepare_entry(chunk, &vfd->chunks, node);
		next = list_next_entry(next, node);
		if (list_entry_is_head(next, &vfd->chunks, node))
			next = NULL;
		end = next ? next->end : 0;
		spin_unlock_irq(&vfd->lock);
		if (!next || (chunk && next->vfd_count))
			return total;
		chunk = next;
		if (!*first)
			*first = chunk;
		size = min_t(size_t, end - chunk->begin, iov_iter_count(to));
		if (copy_to_iter(chunk->data + chunk->begin, size, to) != size)
			return -EFAULT;
		total += size;
		if (size < end - chunk->begin)
			return total;
	}
}

/* Takes what was copied from the queue; its VFDs are the caller's now. */
static void wl_commit(struct wl_vfd *vfd, u32 bytes, bool with_vfds)
{
	struct wl_chunk *chunk, *next;
	u32 rest = bytes, size;
	LIST_HEAD(read);

	spin_lock_irq(&vfd->lock);
	list_for_each_entry_safe(chunk, next, &vfd->chunks, node) {
		if (with_vfds)
			chunk->vfd_count = 0;
		with_vfds = false;
		size = min(rest, chunk->end - chunk->begin);
		chunk->begin += size;
		rest -= size;
		if (chunk->begin < chunk->end || chunk->vfd_count)
			break;
		list_move_tail(&chunk->node, &read);
	}
	vfd->queued -= bytes;
	spin_unlock_irq(&vfd->lock);

	list_for_each_entry_safe(chunk, next, &read, node)
		wl_chunk_free(chunk);
	atomic_long_sub(bytes, &vfd->wl->queued);
	wl_consumed(vfd, bytes);
	wl_in_resume(vfd->wl);
}

ssize_t wl_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct wl_vfd *vfd = iocb->ki_filp->private_data, *dropped[WL_MAX_VFDS];
	struct wl_chunk *first;
	u32 count = 0;
	ssize_t result;

	if (!iov_iter_count(to))
		return 0;
	do {
		result = wl_await_readable(vfd, wl_is_nonblocking(iocb));
		if (result)
			return result;
		result = wl_peek(vfd, to, &first);
		if (result >= 0 && first) {
			count = first->vfd_count;
			memcpy(dropped, first->vfds, count * sizeof(*dropped));
			wl_commit(vfd, result, count);
		}
		mutex_unlock(&vfd->receive_lock);
		/* As with read(2) of a Unix socket, descriptors are lost. */
		while (count)
			wl_vfd_close(dropped[--count]);
		/* A message of VFDs only must not look like the end. */
	} while (!result && first);
	return result;
}

/* Files and descriptors for VFDs that wait in a chunk. */
static int wl_open_vfds(const struct wl_chunk *chunk, struct file **files, int *fds)
{
	u32 i;

	for (i = 0; i < chunk->vfd_count; i++) {
		fds[i] = get_unused_fd_flags(O_CLOEXEC);
		if (fds[i] < 0)
			goto undo;
		files[i] = wl_vfd_file(chunk->vfds[i]);
		if (IS_ERR(files[i])) {
			put_unused_fd(fds[i]);
			fds[i] = PTR_ERR(files[i]);
			goto undo;
		}
	}
	return 0;

undo:
	{
		int error = fds[i];

		fds[i] = -1;
		while (i--) {
			put_unused_fd(fds[i]);
			fds[i] = -1;
			wl_vfd_file_forget(files[i]);
		}
		return error;
	}
}

/* RECV with receive_lock: all of it happens, or nothing. */
static int wl_recv_locked(struct wl_vfd *vfd, struct virtwl_ioctl_txn *head, struct iov_iter *to,
			  struct virtwl_ioctl_txn __user *argument)
{
	struct file *files[WL_MAX_VFDS];
	struct wl_chunk *first;
	ssize_t bytes = wl_peek(vfd, to, &first);
	u32 count, i;
	int error;

	if (bytes < 0)
		return bytes;
	count = first ? first->vfd_count : 0;
	error = count ? wl_open_vfds(first, files, head->fds) : 0;
	if (error)
		return error;
	head->len = bytes;
	if (copy_to_user(argument, head, sizeof(*head))) {
		for (i = 0; i < count; i++) {
			put_unused_fd(head->fds[i]);
			wl_vfd_file_forget(files[i]);
		}
		return -EFAULT;
	}
	if (first)
		wl_commit(vfd, bytes, count);
	for (i = 0; i < count; i++)
		fd_install(head->fds[i], files[i]);
	return 0;
}

long wl_ioctl_recv(struct file *file, struct virtwl_ioctl_txn __user *argument)
{
	struct wl_vfd *vfd = file->private_data;
	struct virtwl_ioctl_txn head;
	struct iov_iter to;
	struct iovec vector;
	int error;

	if (!vfd->readable)
		return -EBADF;
	if (get_user(head.len, &argument->len))
		return -EFAULT;
	error = import_single_range(READ, argument->data, head.len, &vector, &to);
	if (error)
		return error;
	memset(head.fds, 0xff, sizeof(head.fds));
	error = wl_await_readable(vfd, file->f_flags & O_NONBLOCK);
	if (error)
		return error;
	error = wl_recv_locked(vfd, &head, &to, argument);
	mutex_unlock(&vfd->receive_lock);
	return error;
}
