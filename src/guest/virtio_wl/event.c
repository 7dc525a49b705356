// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* Events: counters like those of eventfd(2), of which each side adds to the other's. */
#include <linux/poll.h>
#include <linux/uio.h>

#include "wl.h"

/* Somebody waits for the event: from now on the host reads its counter for us. */
void wl_event_arm(struct wl_vfd *vfd)
{
	bool arm;

	spin_lock_irq(&vfd->lock);
	arm = !vfd->armed;
	vfd->armed = true;
	spin_unlock_irq(&vfd->lock);
	if (arm)
		wl_note_send(&vfd->arm, 0);
	wl_bell_want(vfd, true);
}

/* The host's counter had this value. Ours stays at its largest when they are too many. Anywhere. */
void wl_event_add(struct wl_vfd *vfd, u64 value)
{
	unsigned long flags;

	spin_lock_irqsave(&vfd->lock, flags);
	if (value > U64_MAX - 1 - vfd->counter)
		vfd->counter = U64_MAX - 1;
	else
		vfd->counter += value;
	spin_unlock_irqrestore(&vfd->lock, flags);
	wake_up_poll(&vfd->wait, EPOLLIN | EPOLLRDNORM);
}

static u64 wl_event_take(struct wl_vfd *vfd)
{
	u64 value;

	spin_lock_irq(&vfd->lock);
	value = vfd->counter;
	vfd->counter = 0;
	spin_unlock_irq(&vfd->lock);
	return value;
}

ssize_t wl_event_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct wl_vfd *vfd = iocb->ki_filp->private_data;
	u64 value;
	int error;

	if (iov_iter_count(to) < sizeof(value))
		return -EINVAL;
	wl_event_arm(vfd);
	while (!(value = wl_event_take(vfd))) {
		if (READ_ONCE(vfd->hung_up))
			return 0;
		if (wl_is_nonblocking(iocb))
			return -EAGAIN;
		error = wait_event_interruptible(vfd->wait, READ_ONCE(vfd->counter) || READ_ONCE(vfd->hung_up));
		if (error)
			return error;
	}
	if (copy_to_iter(&value, sizeof(value), to) != sizeof(value))
		return -EFAULT;
	return sizeof(value);
}

ssize_t wl_event_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct wl_vfd *vfd = iocb->ki_filp->private_data;
	struct iov_iter bytes;
	struct kvec vector;
	u64 value;

	if (iov_iter_count(from) < sizeof(value))
		return -EINVAL;
	if (copy_from_iter(&value, sizeof(value), from) != sizeof(value))
		return -EFAULT;
	if (value == U64_MAX)
		return -EINVAL;
	if (value && wl_bell_ring(vfd))
		return sizeof(value);
	wl_bell_want(vfd, false);
	vector.iov_base = &value;
	vector.iov_len = sizeof(value);
	iov_iter_kvec(&bytes, WRITE, &vector, 1, sizeof(value));
	return wl_send_bytes(vfd, &bytes, wl_is_nonblocking(iocb));
}
