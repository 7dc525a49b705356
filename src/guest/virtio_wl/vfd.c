// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* The life of a VFD: the table by id, hanging up, closing. */
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "wl.h"

/* While pages of a VFD's memory are held (by direct I/O under way, say) they are looked at again after this long. */
#define WL_UNMAP_DELAY_MIN msecs_to_jiffies(5)
#define WL_UNMAP_DELAY_MAX HZ

static void wl_unmap_work(struct work_struct *work);

/* A VFD that is in no table yet. The caller owns it. */
struct wl_vfd *wl_vfd_alloc(struct wl_device *wl, enum wl_kind kind, bool readable, bool writable)
{
	struct wl_vfd *vfd = kzalloc(sizeof(*vfd), GFP_KERNEL_ACCOUNT);

	if (!vfd)
		return NULL;
	kref_init(&vfd->ref);
	kref_get(&wl->ref);
	vfd->wl = wl;
	vfd->kind = kind;
	vfd->readable = readable;
	vfd->writable = writable;
	vfd->unmapped = true;
	spin_lock_init(&vfd->lock);
	init_waitqueue_head(&vfd->wait);
	mutex_init(&vfd->receive_lock);
	INIT_LIST_HEAD(&vfd->chunks);
	wl_note_init(&vfd->close, vfd, WL_CMD_VFD_CLOSE, WL_VFD_NOTE_SIZE);
	wl_note_init(&vfd->arm, vfd, WL_CMD_VFD_EVENT_ARM, WL_VFD_NOTE_SIZE);
	wl_note_init(&vfd->credit, vfd, WL_CMD_VFD_CREDIT, sizeof(struct wl_vfd_note));
	INIT_DELAYED_WORK(&vfd->unmap_work, wl_unmap_work);
	return vfd;
}

static void wl_vfd_free(struct kref *ref)
{
	struct wl_vfd *vfd = container_of(ref, struct wl_vfd, ref);

	kfree(vfd->memory);
	kfree(vfd->bells);
	wl_device_put(vfd->wl);
	kfree(vfd);
}

/* Anywhere, in interrupts, too. */
void wl_vfd_put(struct wl_vfd *vfd)
{
	kref_put(&vfd->ref, wl_vfd_free);
}

/* The VFD with an id, with a reference, or NULL. */
struct wl_vfd *wl_vfd_find(struct wl_device *wl, u32 id)
{
	struct wl_vfd *vfd;

	xa_lock(&wl->vfds);
	vfd = xa_load(&wl->vfds, id);
	if (vfd)
		kref_get(&vfd->ref);
	xa_unlock(&wl->vfds);
	return vfd;
}

static void wl_vfd_uncount(struct wl_vfd *vfd)
{
	if (vfd->id & WL_HOST_ID_BIT)
		atomic_dec(&vfd->wl->host_vfds);
}

/* Takes a VFD out of the table: what the host sends for it from now on reaches nobody. */
static void wl_vfd_forget(struct wl_vfd *vfd)
{
	if (vfd->id && xa_cmpxchg(&vfd->wl->vfds, vfd->id, vfd, NULL, 0) == vfd) {
		wl_vfd_uncount(vfd);
		wl_vfd_put(vfd);
	}
}

/* Nothing comes any more: readers get what is there and then the end. */
void wl_vfd_hang_up(struct wl_vfd *vfd)
{
	unsigned long flags;

	spin_lock_irqsave(&vfd->lock, flags);
	vfd->hung_up = true;
	spin_unlock_irqrestore(&vfd->lock, flags);
	wake_up_poll(&vfd->wait, EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLHUP | EPOLLERR);
}

/* Moves everything that waits to be read away; VFDs that nobody has received go to @vfds. */
static void wl_vfd_empty(struct wl_vfd *vfd, bool close, struct list_head *vfds)
{
	struct wl_chunk *chunk, *next;
	LIST_HEAD(chunks);
	u32 i, queued;

	spin_lock_irq(&vfd->lock);
	vfd->closed |= close;
	list_splice_init(&vfd->chunks, &chunks);
	queued = vfd->queued;
	vfd->queued = 0;
	spin_unlock_irq(&vfd->lock);

	atomic_long_sub(queued, &vfd->wl->queued);
	list_for_each_entry_safe(chunk, next, &chunks, node) {
		for (i = 0; i < chunk->vfd_count; i++)
			list_add_tail(&chunk->vfds[i]->closing, vfds);
		wl_chunk_free(chunk);
	}
}

/* The end, when a VFD is closed and nothing of it is in use: the host may take it away now. Anywhere. */
void wl_vfd_finish_once(struct wl_vfd *vfd)
{
	unsigned long flags;
	bool finish;

	spin_lock_irqsave(&vfd->lock, flags);
	finish = vfd->closed && vfd->unmapped && !wl_bell_is_asked(vfd) && !vfd->finished;
	vfd->finished |= finish;
	spin_unlock_irqrestore(&vfd->lock, flags);
	if (!finish)
		return;
	/* Else its slots are free when the device has answered. */
	if (!wl_note_send(&vfd->close, 0))
		wl_bell_release(vfd);
	wl_vfd_put(vfd);
}

static void wl_vfd_set_unmapped(struct wl_vfd *vfd)
{
	spin_lock_irq(&vfd->lock);
	vfd->unmapped = true;
	spin_unlock_irq(&vfd->lock);
	wl_vfd_finish_once(vfd);
}

static void wl_unmap_work(struct work_struct *work)
{
	struct wl_vfd *vfd = container_of(to_delayed_work(work), struct wl_vfd, unmap_work);
	struct wl_device *wl = vfd->wl;

	if (!wl_memory_unmap(vfd->memory)) {
		vfd->unmap_delay = min_t(unsigned long, vfd->unmap_delay * 2, WL_UNMAP_DELAY_MAX);
		queue_delayed_work(wl_workqueue, &vfd->unmap_work, vfd->unmap_delay);
		return;
	}
	wl_vfd_set_unmapped(vfd);
	if (atomic_dec_and_test(&wl->closing))
		wake_up_all(&wl->closing_wait);
	else
		wake_up(&wl->closing_wait);
	wl_vfd_put(vfd);
	module_put(THIS_MODULE);
}

/* Gives up the pages of a VFD's memory, in the background since that takes a few milliseconds, or longer if one is held. */
static void wl_vfd_unmap(struct wl_vfd *vfd)
{
	bool start;

	if (!vfd->memory)
		return;
	if (!wl_memory_is_mapped(vfd->memory) && wl_memory_unmap(vfd->memory)) {
		wl_vfd_set_unmapped(vfd);
		return;
	}
	spin_lock_irq(&vfd->lock);
	start = !vfd->unmapped && !vfd->unmap_delay;
	if (start)
		vfd->unmap_delay = WL_UNMAP_DELAY_MIN;
	spin_unlock_irq(&vfd->lock);
	if (!start)
		return;
	/* The work's code must stay, though no file of ours may be open then. */
	__module_get(THIS_MODULE);
	kref_get(&vfd->ref);
	atomic_inc(&vfd->wl->closing);
	queue_delayed_work(wl_workqueue, &vfd->unmap_work, 0);
}

/*
 * Closes VFDs, and with each those that it would have been given. A list, not a recursion: the host decides how deeply VFDs
 * wait inside each other.
 */
static void wl_vfd_close_all(struct list_head *todo)
{
	struct wl_vfd *vfd;

	while ((vfd = list_first_entry_or_null(todo, struct wl_vfd, closing))) {
		list_del(&vfd->closing);
		wl_vfd_forget(vfd);
		wl_vfd_empty(vfd, true, todo);
		kref_get(&vfd->ref);
		wl_vfd_unmap(vfd);
		wl_vfd_finish_once(vfd);
		wl_vfd_put(vfd);
	}
}

/* The owner closes a VFD. */
void wl_vfd_close(struct wl_vfd *vfd)
{
	LIST_HEAD(todo);

	wl_in_resume(vfd->wl);
	list_add(&vfd->closing, &todo);
	wl_vfd_close_all(&todo);
}

/* The owner drops a VFD that the host does not have. */
void wl_vfd_drop(struct wl_vfd *vfd)
{
	unsigned long flags;

	spin_lock_irqsave(&vfd->wl->out_lock, flags);
	vfd->dead = true;
	spin_unlock_irqrestore(&vfd->wl->out_lock, flags);
	wl_vfd_close(vfd);
}

static struct wl_vfd *wl_vfd_take_any(struct wl_device *wl)
{
	unsigned long id = 0;
	struct wl_vfd *vfd;

	xa_lock(&wl->vfds);
	vfd = xa_find(&wl->vfds, &id, ULONG_MAX, XA_PRESENT);
	if (vfd)
		__xa_erase(&wl->vfds, id);
	xa_unlock(&wl->vfds);
	return vfd;
}

/* The device was reset: no VFD is known to it any more. The in queue is idle. */
void wl_vfd_retire_all(struct wl_device *wl)
{
	struct wl_vfd *vfd;
	LIST_HEAD(unread);

	while ((vfd = wl_vfd_take_any(wl))) {
		wl_vfd_uncount(vfd);
		spin_lock_irq(&wl->out_lock);
		vfd->dead = true;
		spin_unlock_irq(&wl->out_lock);
		wl_vfd_hang_up(vfd);
		wl_bell_release(vfd);
		if (vfd->memory)
			wl_memory_retire(vfd->memory);
		if (!vfd->owned) {
			wl_vfd_close(vfd);
			continue;
		}
		/* No program has it: it may wait, by way of others or not, in itself. */
		if (!READ_ONCE(vfd->has_file)) {
			wl_vfd_empty(vfd, false, &unread);
			wl_vfd_close_all(&unread);
		}
		if (vfd->memory) {
			wl_memory_hang_up(vfd);
			wl_vfd_unmap(vfd);
		}
		wl_vfd_put(vfd);
		cond_resched();
	}
}
