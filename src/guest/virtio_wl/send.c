// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* SEND: bytes and VFDs to the host. */
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "wl.h"

/* The longest message. */
#define WL_SEND_MAX (1024 * 1024)

/* Data of up to this many bytes lies beside the command. */
#define WL_SEND_SHORT 2048

/* Longer data lies in blocks, large ones where there are some, so that a message has no more than 64. */
#define WL_BLOCK_ORDER_MAX 4
#define WL_BLOCK_ORDER_MIN 2
#define WL_BLOCKS_MAX (WL_SEND_MAX >> (PAGE_SHIFT + WL_BLOCK_ORDER_MIN))

/* What of one VFD may be under way before senders wait. */
#define WL_SENDS_MAX 4
#define WL_SEND_BYTES_MAX (64 * 1024)

struct wl_send {
	struct wl_request request;
	struct kref ref;		/* the sender's, while it waits, and the queue's */
	struct completion answered;
	bool waiting;			/* the sender wants the error; by the VFD's lock */
	int error;
	size_t size;
	/* They stay open until the host has them. */
	u32 file_count;
	struct file *files[WL_MAX_VFDS];
	u32 block_count;
	struct scatterlist *blocks;
	struct wl_header response;
	struct wl_vfd_transfer command;	/* ids and short data follow */
};

/* Whether another message of a VFD may be sent. By the VFD's lock. */
bool wl_has_room(const struct wl_vfd *vfd)
{
	return vfd->sends < WL_SENDS_MAX && vfd->send_bytes < WL_SEND_BYTES_MAX;
}

static void wl_send_free(struct kref *ref)
{
	struct wl_send *send = container_of(ref, struct wl_send, ref);
	u32 i;

	for (i = 0; i < send->file_count; i++)
		fput(send->files[i]);
	for (i = 0; i < send->block_count; i++) {
		struct page *page = sg_page(&send->blocks[i]);

		__free_pages(page, compound_order(page));
	}
	kfree(send->blocks);
	kfree(send);
}

static void wl_send_put(struct wl_send *send)
{
	kref_put(&send->ref, wl_send_free);
}

static struct page *wl_block_alloc(size_t rest, unsigned int *order)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_COMP;
	unsigned int try = min_t(unsigned int, get_order(rest), WL_BLOCK_ORDER_MAX);
	struct page *page = NULL;

	for (; try > WL_BLOCK_ORDER_MIN && !page; try--) {
		*order = try;
		page = alloc_pages(gfp | __GFP_NOWARN | __GFP_NORETRY, try);
	}
	if (!page) {
		*order = WL_BLOCK_ORDER_MIN;
		page = alloc_pages(gfp, WL_BLOCK_ORDER_MIN);
	}
	return page;
}

/* Copies long data into blocks. */
static int wl_send_fill(struct wl_send *send, struct iov_iter *from)
{
	size_t rest = send->size;

	send->blocks = kmalloc_array(WL_BLOCKS_MAX, sizeof(*send->blocks), GFP_KERNEL_ACCOUNT);
	if (!send->blocks)
		return -ENOMEM;
	sg_init_table(send->blocks, WL_BLOCKS_MAX);
	while (rest) {
		unsigned int order;
		struct page *page = wl_block_alloc(rest, &order);
		size_t size;

		if (!page)
			return -ENOMEM;
		size = min_t(size_t, rest, PAGE_SIZE << order);
		sg_set_page(&send->blocks[send->block_count++], page, size, 0);
		if (copy_from_iter(page_address(page), size, from) != size)
			return -EFAULT;
		rest -= size;
	}
	sg_mark_end(&send->blocks[send->block_count - 1]);
	send->request.data = send->blocks;
	return 0;
}

static void wl_send_done(struct wl_request *request, int error)
{
	struct wl_send *send = container_of(request, struct wl_send, request);
	struct wl_vfd *vfd = request->vfd;
	unsigned long flags;

	if (!error) {
		if (request->written < sizeof(send->response))
			error = -EIO;
		else
			error = wl_response_error(le32_to_cpu(READ_ONCE(send->response.type)));
	}
	spin_lock_irqsave(&vfd->lock, flags);
	vfd->sends--;
	vfd->send_bytes -= send->size;
	if (send->waiting)
		send->error = error;
	else if (error && !vfd->send_error)
		vfd->send_error = error;
	complete(&send->answered);
	spin_unlock_irqrestore(&vfd->lock, flags);
	wake_up_poll(&vfd->wait, EPOLLOUT | EPOLLWRNORM);
	wl_send_put(send);
	wl_vfd_put(vfd);
}

/* Takes room for a message: 1 when there is some, 0 when not, or an error. */
static int wl_try_reserve(struct wl_vfd *vfd, size_t size)
{
	int result = 0;

	spin_lock_irq(&vfd->lock);
	if (vfd->dead) {
		result = -EPIPE;
	} else if (vfd->send_error) {
		result = vfd->send_error;
		vfd->send_error = 0;
	} else if (wl_has_room(vfd)) {
		vfd->sends++;
		vfd->send_bytes += size;
		result = 1;
	}
	spin_unlock_irq(&vfd->lock);
	return result;
}

static void wl_unreserve(struct wl_vfd *vfd, size_t size)
{
	spin_lock_irq(&vfd->lock);
	vfd->sends--;
	vfd->send_bytes -= size;
	spin_unlock_irq(&vfd->lock);
	wake_up_poll(&vfd->wait, EPOLLOUT | EPOLLWRNORM);
}

static int wl_reserve(struct wl_vfd *vfd, size_t size, bool nonblock)
{
	int result = wl_try_reserve(vfd, size), error;

	if (!result && nonblock)
		return -EAGAIN;
	if (!result) {
		error = wait_event_interruptible(vfd->wait, (result = wl_try_reserve(vfd, size)));
		if (error)
			return error;
	}
	return result < 0 ? result : 0;
}

/* A message with its data copied, which takes over the files also when there is an error. */
static struct wl_send *wl_send_make(struct wl_vfd *vfd, struct iov_iter *from, struct file **files, u32 file_count)
{
	size_t size = iov_iter_count(from), head, beside;
	struct wl_send *send;
	int error = 0;
	u32 i;

	head = struct_size(&send->command, vfds, file_count);
	beside = size <= WL_SEND_SHORT ? size : 0;
	send = kzalloc(offsetof(struct wl_send, command) + head + beside, GFP_KERNEL_ACCOUNT);
	if (!send) {
		for (i = 0; i < file_count; i++)
			fput(files[i]);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&send->ref);
	init_completion(&send->answered);
	send->size = size;
	send->file_count = file_count;
	send->command.header.type = cpu_to_le32(WL_CMD_VFD_SEND);
	send->command.vfd_id = cpu_to_le32(vfd->id);
	send->command.vfd_count = cpu_to_le32(file_count);
	for (i = 0; i < file_count; i++) {
		send->files[i] = files[i];
		send->command.vfds[i] = cpu_to_le32(wl_file_vfd(files[i])->id);
	}
	send->request.vfd = vfd;
	send->request.command = &send->command;
	send->request.command_size = head + beside;
	send->request.response = &send->response;
	send->request.response_size = sizeof(send->response);
	send->request.done = wl_send_done;
	if (beside && copy_from_iter((u8 *)&send->command + head, beside, from) != beside)
		error = -EFAULT;
	else if (size > beside)
		error = wl_send_fill(send, from);
	if (!error)
		return send;
	wl_send_put(send);
	return ERR_PTR(error);
}

/* Waits for the answer. After a signal it goes its way alone, and its error will be that of the next one. */
static int wl_send_await(struct wl_send *send)
{
	struct wl_vfd *vfd = send->request.vfd;
	int error = 0;

	if (wait_for_completion_interruptible(&send->answered)) {
		spin_lock_irq(&vfd->lock);
		if (completion_done(&send->answered))
			error = send->error;
		send->waiting = false;
		spin_unlock_irq(&vfd->lock);
		return error;
	}
	return send->error;
}

static ssize_t wl_send(struct wl_vfd *vfd, struct iov_iter *from, struct file **files, u32 file_count, bool nonblock)
{
	struct wl_send *send = wl_send_make(vfd, from, files, file_count);
	ssize_t size;
	int error;

	if (IS_ERR(send))
		return PTR_ERR(send);
	size = send->size;
	error = wl_reserve(vfd, size, nonblock);
	if (error) {
		wl_send_put(send);
		return error;
	}
	/* An event is like a bell: who rings does not wait. */
	send->waiting = !nonblock && vfd->kind != WL_EVENT;
	kref_get(&send->ref);
	kref_get(&vfd->ref);
	error = wl_submit(&send->request);
	if (error) {
		wl_unreserve(vfd, size);
		wl_vfd_put(vfd);
		wl_send_put(send);
	} else if (send->waiting) {
		error = wl_send_await(send);
	}
	wl_send_put(send);
	return error ? error : size;
}

/* Sends bytes alone. Returns how many, or an error. */
ssize_t wl_send_bytes(struct wl_vfd *vfd, struct iov_iter *from, bool nonblock)
{
	return wl_send(vfd, from, NULL, 0, nonblock);
}

ssize_t wl_write(struct kiocb *iocb, struct iov_iter *from)
{
	bool nonblock = wl_is_nonblocking(iocb);

	if (!iov_iter_count(from))
		return 0;
	/* A stream: as much as goes at once. */
	iov_iter_truncate(from, nonblock ? WL_SEND_BYTES_MAX : WL_SEND_MAX);
	return wl_send_bytes(iocb->ki_filp->private_data, from, nonblock);
}

/* The files behind a program's descriptors, up to the first that is -1. Returns their count or an error. */
static int wl_get_files(const int *fds, struct wl_vfd *over, struct file **files)
{
	int count, error;

	for (count = 0; count < WL_MAX_VFDS && fds[count] >= 0; count++) {
		struct file *file = fget(fds[count]);
		struct wl_vfd *vfd = file ? wl_file_vfd(file) : NULL;

		/* A dead one's id may be another's by now. */
		if (!vfd || vfd->wl != over->wl || vfd == over || READ_ONCE(vfd->dead)) {
			error = file ? -EINVAL : -EBADF;
			if (file)
				fput(file);
			while (count)
				fput(files[--count]);
			return error;
		}
		files[count] = file;
	}
	return count;
}

long wl_ioctl_send(struct file *file, struct virtwl_ioctl_txn __user *argument)
{
	struct wl_vfd *vfd = file->private_data;
	struct file *files[WL_MAX_VFDS];
	struct virtwl_ioctl_txn head;
	struct iov_iter from;
	struct iovec vector;
	ssize_t result;
	int count;

	if (!vfd->writable)
		return -EBADF;
	if (copy_from_user(&head, argument, sizeof(head)))
		return -EFAULT;
	if (head.len > WL_SEND_MAX)
		return -EMSGSIZE;
	result = import_single_range(WRITE, argument->data, head.len, &vector, &from);
	if (result)
		return result;
	count = wl_get_files(head.fds, vfd, files);
	if (count < 0)
		return count;
	if (count && vfd->kind != WL_SOCKET) {
		while (count)
			fput(files[--count]);
		return -EINVAL;
	}
	if (!count && !head.len)
		return 0;
	result = wl_send(vfd, &from, files, count, file->f_flags & O_NONBLOCK);
	return result < 0 ? result : 0;
}
