// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Commands to the device: the out queue, and what waits for room in it. */
#include <linux/scatterlist.h>

#include "wl.h"

/* What a response means to a program. */
int wl_response_error(u32 type)
{
	switch (type) {
	case WL_RESP_OK:
	case WL_RESP_VFD_NEW:
		return 0;
	case WL_RESP_ERR:
		return -EPIPE;
	case WL_RESP_OUT_OF_MEMORY:
		return -ENOMEM;
	case WL_RESP_INVALID_ID:
		return -ENOENT;
	case WL_RESP_INVALID_TYPE:
		return -EINVAL;
	case WL_RESP_INVALID_FLAGS:
		return -EPERM;
	case WL_RESP_INVALID_CMD:
		return -ENOTTY;
	default:
		return -EIO;
	}
}

static int wl_add(struct wl_device *wl, struct wl_request *request)
{
	struct scatterlist command, response, *lists[3];
	unsigned int count = 0;
	int error;

	sg_init_one(&command, request->command, request->command_size);
	lists[count++] = &command;
	if (request->data)
		lists[count++] = request->data;
	sg_init_one(&response, request->response, request->response_size);
	lists[count] = &response;
	error = virtqueue_add_sgs(wl->out, lists, count, 1, request, GFP_ATOMIC);
	if (!error)
		wl->in_flight++;
	return error;
}

/*
 * Sends a command, now or when there is room. After an error `done` is not called. Never sleeps.
 */
int wl_submit(struct wl_request *request)
{
	struct wl_device *wl = request->vfd->wl;
	unsigned long flags;
	int error;

	spin_lock_irqsave(&wl->out_lock, flags);
	if (!wl->ready || request->vfd->dead) {
		error = -EPIPE;
	} else {
		error = list_empty(&wl->waiting) ? wl_add(wl, request) : -ENOSPC;
		if (!error) {
			virtqueue_kick(wl->out);
		} else if (error == -ENOSPC && wl->in_flight) {
			list_add_tail(&request->node, &wl->waiting);
			error = 0;
		} else {
			error = -EIO;
		}
	}
	spin_unlock_irqrestore(&wl->out_lock, flags);
	return error;
}

/* Sends what waits, as far as there is room. What cannot be sent at all goes to @failed. */
static void wl_send_waiting(struct wl_device *wl, struct list_head *failed)
{
	struct wl_request *request, *next;
	bool added = false;

	list_for_each_entry_safe(request, next, &wl->waiting, node) {
		int error = wl_add(wl, request);

		if (error == -ENOSPC && wl->in_flight)
			break;
		if (error)
			list_move_tail(&request->node, failed);
		else
			list_del(&request->node);
		added |= !error;
	}
	if (added)
		virtqueue_kick(wl->out);
}

/* The device has answered commands. */
void wl_out_done(struct virtqueue *out)
{
	struct wl_device *wl = out->vdev->priv;
	struct wl_request *request, *next;
	LIST_HEAD(done);
	LIST_HEAD(failed);
	unsigned long flags;
	bool broken;
	u32 written;

	spin_lock_irqsave(&wl->out_lock, flags);
	if (!wl->ready) {
		spin_unlock_irqrestore(&wl->out_lock, flags);
		return;
	}
	do {
		virtqueue_disable_cb(out);
		while ((request = virtqueue_get_buf(out, &written))) {
			request->written = min(written, request->response_size);
			wl->in_flight--;
			list_add_tail(&request->node, &done);
		}
		broken = virtqueue_is_broken(out);
	} while (!broken && !virtqueue_enable_cb(out));
	wl_send_waiting(wl, &failed);
	spin_unlock_irqrestore(&wl->out_lock, flags);

	list_for_each_entry_safe(request, next, &done, node)
		request->done(request, 0);
	list_for_each_entry_safe(request, next, &failed, node)
		request->done(request, -EIO);
	if (broken)
		wl_break(wl);
}

/* Ends everything that was under way, after the device was reset. */
void wl_out_drain(struct wl_device *wl)
{
	struct wl_request *request, *next;
	LIST_HEAD(failed);

	spin_lock_irq(&wl->out_lock);
	while ((request = virtqueue_detach_unused_buf(wl->out)))
		list_add_tail(&request->node, &failed);
	list_splice_tail_init(&wl->waiting, &failed);
	wl->in_flight = 0;
	spin_unlock_irq(&wl->out_lock);

	list_for_each_entry_safe(request, next, &failed, node)
		request->done(request, -EPIPE);
}

static void wl_note_done(struct wl_request *request, int error)
{
	struct wl_note *note = container_of(request, struct wl_note, request);
	struct wl_vfd *vfd = request->vfd;
	unsigned long flags;

	spin_lock_irqsave(&vfd->lock, flags);
	note->sent = false;
	spin_unlock_irqrestore(&vfd->lock, flags);
	if (note == &vfd->credit)
		wl_give_credit(vfd);
	else if (note == &vfd->close)
		wl_bell_release(vfd);
	wl_vfd_put(vfd);
}

void wl_note_init(struct wl_note *note, struct wl_vfd *vfd, u32 type, u32 size)
{
	note->command.header.type = cpu_to_le32(type);
	note->request.vfd = vfd;
	note->request.command = &note->command;
	note->request.command_size = size;
	note->request.response = &note->response;
	note->request.response_size = sizeof(note->response);
	note->request.done = wl_note_done;
}

/* Sends a note unless it is under way already. Nobody cares for the answer. */
bool wl_note_send(struct wl_note *note, u32 bytes)
{
	struct wl_vfd *vfd = note->request.vfd;
	unsigned long flags;
	bool sent;

	spin_lock_irqsave(&vfd->lock, flags);
	sent = note->sent;
	note->sent = true;
	spin_unlock_irqrestore(&vfd->lock, flags);
	if (sent)
		return false;
	note->command.vfd_id = cpu_to_le32(vfd->id);
	note->command.bytes = cpu_to_le32(bytes);
	kref_get(&vfd->ref);
	if (wl_submit(&note->request)) {
		spin_lock_irqsave(&vfd->lock, flags);
		note->sent = false;
		spin_unlock_irqrestore(&vfd->lock, flags);
		wl_vfd_put(vfd);
		return false;
	}
	return true;
}
