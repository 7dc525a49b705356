// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* New VFDs: those that programs ask for, and those that the host announces. */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "wl.h"

/* VFDs that the host may make. */
#define WL_HOST_VFDS_MAX 16384

/* While so many VFDs of memory are being given up, another one waits for them, but not for ever. */
#define WL_CLOSING_MAX 64
#define WL_CLOSING_WAIT HZ

/* A command of the NEW kind and its answer. */
struct wl_call {
	struct wl_request request;
	struct kref ref;		/* the caller's, and the queue's */
	struct completion answered;
	bool abandoned;			/* the caller is gone; by the VFD's lock */
	int error;
	struct wl_vfd_new command;
	struct wl_vfd_new response;
	struct work_struct close_work;
};

static void wl_call_free(struct kref *ref)
{
	kfree(container_of(ref, struct wl_call, ref));
}

static void wl_call_put(struct wl_call *call)
{
	kref_put(&call->ref, wl_call_free);
}

/* Closes a VFD that nobody waited for. */
static void wl_call_close_work(struct work_struct *work)
{
	struct wl_call *call = container_of(work, struct wl_call, close_work);
	struct wl_vfd *vfd = call->request.vfd;

	wl_vfd_close(vfd);
	wl_vfd_put(vfd);
	wl_call_put(call);
}

static void wl_call_done(struct wl_request *request, int error)
{
	struct wl_call *call = container_of(request, struct wl_call, request);
	struct wl_vfd *vfd = request->vfd;
	unsigned long flags;
	bool abandoned;

	spin_lock_irqsave(&vfd->lock, flags);
	call->error = error;
	abandoned = call->abandoned;
	complete(&call->answered);
	spin_unlock_irqrestore(&vfd->lock, flags);
	if (abandoned) {
		queue_work(wl_workqueue, &call->close_work);
		return;
	}
	wl_vfd_put(vfd);
	wl_call_put(call);
}

static struct wl_call *wl_call_make(struct wl_vfd *vfd, u32 type, u32 flags)
{
	struct wl_call *call = kzalloc(sizeof(*call), GFP_KERNEL_ACCOUNT);

	if (!call)
		return NULL;
	kref_init(&call->ref);
	init_completion(&call->answered);
	INIT_WORK(&call->close_work, wl_call_close_work);
	call->command.header.type = cpu_to_le32(type);
	call->command.vfd_id = cpu_to_le32(vfd->id);
	call->command.flags = cpu_to_le32(flags);
	call->request.vfd = vfd;
	call->request.command = &call->command;
	call->request.command_size = sizeof(call->command);
	call->request.response = &call->response;
	call->request.response_size = sizeof(call->response);
	call->request.done = wl_call_done;
	return call;
}

/*
 * Sends the command and waits for its answer. After -ERESTARTSYS the VFD is no longer the caller's: it is closed when the
 * answer comes.
 */
static int wl_call(struct wl_call *call)
{
	struct wl_vfd *vfd = call->request.vfd;
	int error;

	kref_get(&call->ref);
	kref_get(&vfd->ref);
	error = wl_submit(&call->request);
	if (error) {
		wl_vfd_put(vfd);
		wl_call_put(call);
		return -ENODEV;
	}
	if (wait_for_completion_interruptible(&call->answered)) {
		bool answered;

		spin_lock_irq(&vfd->lock);
		answered = completion_done(&call->answered);
		call->abandoned = !answered;
		spin_unlock_irq(&vfd->lock);
		if (!answered)
			return -ERESTARTSYS;
	}
	return call->error ? -ENODEV : 0;
}

/* Makes a VFD one of memory, if the place that the host tells for it is one. */
static int wl_place_memory(struct wl_vfd *vfd, const struct wl_vfd_new *place, u64 size)
{
	struct wl_memory *memory = wl_memory_reserve(vfd->wl, le64_to_cpu(place->pfn), size);

	if (IS_ERR(memory)) {
		wl_bad(vfd->wl, "memory of %llu bytes at page %#llx", size, le64_to_cpu(place->pfn));
		return PTR_ERR(memory);
	}
	memory->vfd = vfd;
	vfd->memory = memory;
	vfd->unmapped = false;
	return 0;
}

/* What the host says when it refuses, as a program shall see it; 0 when it does not. */
static int wl_refusal(const struct wl_vfd *vfd, const struct wl_vfd_new *answer)
{
	int error = wl_response_error(le32_to_cpu(answer->header.type));

	if (error != -EPIPE)
		return error;
	return vfd->kind == WL_SOCKET ? -ECONNREFUSED : -ENODEV;
}

/* Whether an answer of so many bytes gives the VFD that was asked for. */
static int wl_accept(struct wl_vfd *vfd, const struct wl_vfd_new *answer, u32 written, u64 size)
{
	struct wl_device *wl = vfd->wl;
	u64 given;

	if (le32_to_cpu(answer->header.type) != WL_RESP_VFD_NEW || written < WL_VFD_NEW_SHORT ||
	    le32_to_cpu(answer->vfd_id) != vfd->id) {
		wl_bad(wl, "an answer of %u bytes, type %#x", written, le32_to_cpu(answer->header.type));
		return -EIO;
	}
	if (vfd->kind != WL_MEMORY)
		return 0;
	given = le32_to_cpu(answer->size);
	if (wl->has_size64 && written >= WL_VFD_NEW_LARGE)
		given |= (u64)le32_to_cpu(answer->size_high) << 32;
	if (!answer->pfn || given < size) {
		wl_bad(wl, "%llu bytes of memory instead of %llu", given, size);
		return -EIO;
	}
	return wl_place_memory(vfd, answer, size);
}

/* Gives the VFD an id, asks the host for it and makes it a file. Takes over the caller's ownership. */
static struct file *wl_new_file(struct wl_vfd *vfd, u32 type, u32 flags, const struct virtwl_ioctl_new *asked, u64 size)
{
	struct wl_device *wl = vfd->wl;
	struct wl_vfd_new answer;
	struct wl_call *call;
	struct file *file;
	u32 written;
	int error;

	vfd->owned = true;
	/* The table's; the host may send before we have seen its answer. Ids are used again as late as can be. */
	kref_get(&vfd->ref);
	error = xa_alloc_cyclic(&wl->vfds, &vfd->id, vfd, XA_LIMIT(1, WL_GUEST_ID_MAX), &wl->next_id,
				GFP_KERNEL_ACCOUNT);
	if (error < 0) {
		vfd->id = 0;
		wl_vfd_put(vfd);
		wl_vfd_drop(vfd);
		return ERR_PTR(error);
	}
	call = wl_call_make(vfd, type, flags);
	if (!call) {
		wl_vfd_drop(vfd);
		return ERR_PTR(-ENOMEM);
	}
	if (type == WL_CMD_VFD_NEW_CTX_NAMED)
		memcpy(call->command.name, asked->name, WL_NAME_SIZE);
	call->command.size = cpu_to_le32(lower_32_bits(size));
	if (size && wl->has_size64)
		call->command.size_high = cpu_to_le32(upper_32_bits(size));

	error = wl_call(call);
	/* A copy: the host can change its answer even now. */
	memcpy(&answer, &call->response, sizeof(answer));
	barrier();
	written = call->request.written;
	wl_call_put(call);
	if (error == -ERESTARTSYS)
		return ERR_PTR(error);
	if (!error && written >= sizeof(answer.header))
		error = wl_refusal(vfd, &answer);
	if (error) {
		wl_vfd_drop(vfd);
		return ERR_PTR(error);
	}
	error = wl_accept(vfd, &answer, written, size);
	file = error ? ERR_PTR(error) : wl_vfd_file(vfd);
	if (IS_ERR(file))
		wl_vfd_close(vfd);
	return file;
}

/* Lets VFDs of memory that were closed come to their end, so that what they take of the host's limits is free again. */
static int wl_await_closing(struct wl_device *wl, int most)
{
	long left = wait_event_interruptible_timeout(wl->closing_wait, atomic_read(&wl->closing) <= most,
						     WL_CLOSING_WAIT);

	return left < 0 ? left : 0;
}

static struct file *wl_new_try(struct wl_device *wl, const struct virtwl_ioctl_new *asked)
{
	u32 socket = wl->has_flags ? WL_VFD_READ | WL_VFD_WRITE : WL_VFD_CONTROL;
	bool readable = true, writable = true;
	enum wl_kind kind;
	struct wl_vfd *vfd;
	u32 type, flags;
	u64 size = 0;

	switch (asked->type) {
	case VIRTWL_IOCTL_NEW_CTX:
		kind = WL_SOCKET;
		type = WL_CMD_VFD_NEW_CTX;
		flags = socket;
		break;
	case VIRTWL_IOCTL_NEW_CTX_NAMED:
		if (!asked->name[0])
			return ERR_PTR(-EINVAL);
		kind = WL_SOCKET;
		type = WL_CMD_VFD_NEW_CTX_NAMED;
		flags = socket;
		break;
	case VIRTWL_IOCTL_NEW_ALLOC:
		size = PAGE_ALIGN((u64)asked->size);
		if (!size)
			return ERR_PTR(-EINVAL);
		if (size > U32_MAX && !wl->has_size64)
			return ERR_PTR(-EFBIG);
		kind = WL_MEMORY;
		type = WL_CMD_VFD_NEW;
		flags = WL_VFD_READ | WL_VFD_WRITE;
		break;
	case VIRTWL_IOCTL_NEW_PIPE_READ:
		kind = WL_PIPE;
		type = WL_CMD_VFD_NEW_PIPE;
		flags = WL_VFD_READ;
		writable = false;
		break;
	case VIRTWL_IOCTL_NEW_PIPE_WRITE:
		kind = WL_PIPE;
		type = WL_CMD_VFD_NEW_PIPE;
		flags = WL_VFD_WRITE;
		readable = false;
		break;
	case VIRTWL_IOCTL_NEW_EVENT:
		if (!wl->has_events)
			return ERR_PTR(-EOPNOTSUPP);
		kind = WL_EVENT;
		type = WL_CMD_VFD_NEW_EVENT;
		flags = WL_VFD_READ | WL_VFD_WRITE | WL_VFD_EVENT;
		break;
	case VIRTWL_IOCTL_NEW_DMABUF:
		return ERR_PTR(-ENOTTY);
	default:
		return ERR_PTR(-EINVAL);
	}
	vfd = wl_vfd_alloc(wl, kind, readable, writable);
	return vfd ? wl_new_file(vfd, type, flags, asked, size) : ERR_PTR(-ENOMEM);
}

/* VIRTWL_IOCTL_NEW */
long wl_new(struct wl_device *wl, struct virtwl_ioctl_new __user *argument)
{
	struct virtwl_ioctl_new asked;
	struct file *file;
	int error, fd;

	if (copy_from_user(&asked, argument, sizeof(asked)))
		return -EFAULT;
	if (asked.flags)
		return -EINVAL;
	error = wl_await_up(wl);
	if (!error)
		error = wl_await_closing(wl, WL_CLOSING_MAX);
	if (error)
		return error;
	file = wl_new_try(wl, &asked);
	if (file == ERR_PTR(-ENOMEM) && atomic_read(&wl->closing)) {
		error = wl_await_closing(wl, 0);
		if (error)
			return error;
		file = wl_new_try(wl, &asked);
	}
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		fput(file);
		return fd;
	}
	asked.fd = fd;
	if (copy_to_user(argument, &asked, sizeof(asked))) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

/* What a VFD is that the host announces, by its flags. Returns NULL for nonsense. */
static struct wl_vfd *wl_announced_vfd(struct wl_device *wl, u32 flags, bool is_memory)
{
	bool readable = flags & WL_VFD_READ, writable = flags & WL_VFD_WRITE;

	if (flags & WL_VFD_EVENT)
		return wl->has_events && !is_memory ? wl_vfd_alloc(wl, WL_EVENT, true, true) : NULL;
	if (is_memory)
		return wl_vfd_alloc(wl, WL_MEMORY, true, writable);
	if (!wl->has_flags && flags & WL_VFD_CONTROL)
		readable = writable = true;
	if (readable && writable)
		return wl_vfd_alloc(wl, WL_SOCKET, true, true);
	return readable || writable ? wl_vfd_alloc(wl, WL_PIPE, readable, writable) : NULL;
}

/* Tells the host that we have no use for a VFD of its. */
static void wl_refuse(struct wl_vfd *vfd)
{
	vfd->owned = true;
	wl_vfd_close(vfd);
}

/* The host announces a VFD, which a later message will bring. */
void wl_announced(struct wl_device *wl, const void *message, u32 length)
{
	const struct wl_vfd_new *announced = message;
	u32 id = le32_to_cpu(announced->vfd_id);
	u32 flags = le32_to_cpu(announced->flags);
	u64 size = le32_to_cpu(announced->size);
	bool is_memory = announced->pfn != 0;
	struct wl_vfd *vfd;

	if (length < WL_VFD_NEW_SHORT || !(id & WL_HOST_ID_BIT) || id > WL_HOST_ID_MAX) {
		wl_bad(wl, "NEW of %u bytes for id %#x", length, id);
		return;
	}
	if (wl->has_size64 && length >= WL_VFD_NEW_LARGE)
		size |= (u64)le32_to_cpu(announced->size_high) << 32;
	vfd = wl_announced_vfd(wl, flags, is_memory);
	if (!vfd) {
		wl_bad(wl, "NEW with flags %#x", flags);
		return;
	}
	vfd->id = id;
	atomic_inc(&wl->host_vfds);
	/* The reference is the table's; when that has one of this id already, the message was a mistake. */
	if (xa_insert(&wl->vfds, id, vfd, GFP_KERNEL)) {
		wl_bad(wl, "NEW for id %#x, which is in use", id);
		atomic_dec(&wl->host_vfds);
		wl_vfd_put(vfd);
		return;
	}
	if (atomic_read(&wl->host_vfds) > WL_HOST_VFDS_MAX) {
		wl_bad(wl, "more VFDs than %d", WL_HOST_VFDS_MAX);
		kref_get(&vfd->ref);
		wl_refuse(vfd);
	} else if (is_memory && wl_place_memory(vfd, announced, size)) {
		kref_get(&vfd->ref);
		wl_refuse(vfd);
	}
}
