// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The Virtio Wayland device: sockets, shared memory, pipes and events of the host as file descriptors of the guest.
 * This file: the module, /dev/wlN, bringing the device up, down, and up again when it asks for a reset.
 */
#include <linux/idr.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "wl.h"

/* Buffers for what the host sends; of the queue's 256 entries. */
#define WL_IN_BUFFERS 256

/* A device that asks for resets without end gets one a second. */
#define WL_RESET_PERIOD HZ

/* How long a reset waits until nobody holds pages of what the device showed us before. */
#define WL_RESET_WAIT (5 * HZ)

struct workqueue_struct *wl_workqueue;
static DEFINE_IDA(wl_indices);

static void wl_device_free(struct kref *ref)
{
	struct wl_device *wl = container_of(ref, struct wl_device, ref);

	xa_destroy(&wl->vfds);
	kfree(wl);
}

/* Anywhere, in interrupts, too. */
void wl_device_put(struct wl_device *wl)
{
	kref_put(&wl->ref, wl_device_free);
}

static int wl_open(struct inode *inode, struct file *file)
{
	struct miscdevice *misc = file->private_data;
	struct wl_device *wl = container_of(misc, struct wl_device, misc);

	kref_get(&wl->ref);
	file->private_data = wl;
	return 0;
}

static int wl_close(struct inode *inode, struct file *file)
{
	wl_device_put(file->private_data);
	return 0;
}

static long wl_device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	if (command != VIRTWL_IOCTL_NEW)
		return -ENOTTY;
	return wl_new(file->private_data, (void __user *)argument);
}

static const struct file_operations wl_device_fops = {
	.owner = THIS_MODULE,
	.open = wl_open,
	.release = wl_close,
	.unlocked_ioctl = wl_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static void wl_set_state(struct wl_device *wl, enum wl_state state)
{
	WRITE_ONCE(wl->state, state);
	wake_up_all(&wl->state_wait);
}

/* Waits while the device is being set up again. */
int wl_await_up(struct wl_device *wl)
{
	int error = wait_event_interruptible(wl->state_wait, READ_ONCE(wl->state) != WL_DOWN);

	if (error)
		return error;
	return READ_ONCE(wl->state) == WL_UP ? 0 : -ENODEV;
}

static void wl_schedule_reset(struct wl_device *wl)
{
	unsigned long next = wl->last_reset + WL_RESET_PERIOD;

	if (READ_ONCE(wl->state) != WL_GONE)
		queue_delayed_work(wl_workqueue, &wl->reset_work, time_after(next, jiffies) ? next - jiffies : 0);
}

/* The device broke the rules of queues: it must be set up again. Anywhere. */
void wl_break(struct wl_device *wl)
{
	WRITE_ONCE(wl->broken, true);
	wl_schedule_reset(wl);
}

static void wl_config_changed(struct virtio_device *vdev)
{
	/* There is no config space: it is the status that may have changed. */
	wl_schedule_reset(vdev->priv);
}

static void wl_in_ready(struct virtqueue *in)
{
	struct wl_device *wl = in->vdev->priv;

	queue_work(wl_workqueue, &wl->in_work);
}

static int wl_fill_in_queue(struct wl_device *wl)
{
	struct scatterlist list;
	unsigned int count;

	for (count = 0; count < WL_IN_BUFFERS && wl->in->num_free; count++) {
		void *buffer = (void *)__get_free_page(GFP_KERNEL | __GFP_ZERO);

		if (!buffer)
			break;
		sg_init_one(&list, buffer, WL_IN_BUFFER_SIZE);
		if (virtqueue_add_inbuf(wl->in, &list, 1, buffer, GFP_KERNEL)) {
			free_page((unsigned long)buffer);
			break;
		}
	}
	return count ? 0 : -ENOMEM;
}

static void wl_empty_in_queue(struct wl_device *wl)
{
	void *buffer;

	while ((buffer = virtqueue_detach_unused_buf(wl->in)))
		free_page((unsigned long)buffer);
	if (wl->parked)
		free_page((unsigned long)wl->parked);
	wl->parked = NULL;
}

/* Sets up the queues of a device whose features are agreed on. By the lock `power`. */
static int wl_up(struct wl_device *wl)
{
	struct virtio_device *vdev = wl->vdev;
	vq_callback_t *callbacks[] = { [WL_IN] = wl_in_ready, [WL_OUT] = wl_out_done };
	static const char *const names[] = { [WL_IN] = "in", [WL_OUT] = "out" };
	struct virtqueue *queues[2];
	int error;

	error = virtio_find_vqs(vdev, ARRAY_SIZE(queues), queues, callbacks, names, NULL);
	if (error)
		return error;
	wl->in = queues[WL_IN];
	wl->out = queues[WL_OUT];
	error = wl_fill_in_queue(wl);
	if (error) {
		wl_empty_in_queue(wl);
		vdev->config->del_vqs(vdev);
		return error;
	}
	virtio_device_ready(vdev);
	spin_lock_irq(&wl->out_lock);
	WRITE_ONCE(wl->broken, false);
	WRITE_ONCE(wl->ready, true);
	spin_unlock_irq(&wl->out_lock);
	virtqueue_kick(wl->in);
	/* What came before `ready` was seen by nobody. */
	queue_work(wl_workqueue, &wl->in_work);
	wl_set_state(wl, WL_UP);
	return 0;
}

/* Resets the device and ends all that it was used for. By the lock `power`. */
static void wl_down(struct wl_device *wl)
{
	struct virtio_device *vdev = wl->vdev;
	bool ready;

	spin_lock_irq(&wl->out_lock);
	ready = wl->ready;
	WRITE_ONCE(wl->ready, false);
	spin_unlock_irq(&wl->out_lock);
	virtio_reset_device(vdev);
	if (!ready)
		return;
	cancel_work_sync(&wl->in_work);
	wl_empty_in_queue(wl);
	wl_out_drain(wl);
	wl_vfd_retire_all(wl);
	/* One that comes too late must not reach the device when that is up again. */
	wl_bell_flush();
	vdev->config->del_vqs(vdev);
}

/* What the core does before it probes a driver: agrees on the same features as before. */
static int wl_renegotiate(struct virtio_device *vdev)
{
	int error;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	error = vdev->config->finalize_features(vdev);
	if (error)
		return error;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	return vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK ? 0 : -ENODEV;
}

static void wl_reset_work(struct work_struct *work)
{
	struct wl_device *wl = container_of(to_delayed_work(work), struct wl_device, reset_work);
	struct virtio_device *vdev = wl->vdev;
	int error;

	mutex_lock(&wl->power);
	if (wl->state == WL_GONE)
		goto unlock;
	if (wl->state == WL_UP && !READ_ONCE(wl->broken) &&
	    !(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET))
		goto unlock;
	wl->last_reset = jiffies;
	if (wl->state == WL_UP)
		dev_warn(&vdev->dev, "is set up again, since it %s; what was open is hung up\n",
			 READ_ONCE(wl->broken) ? "broke its queues" : "asks for it");
	wl_set_state(wl, WL_DOWN);
	wl_down(wl);
	wait_event_timeout(wl->closing_wait, !atomic_read(&wl->closing), WL_RESET_WAIT);
	error = wl_renegotiate(vdev);
	if (!error)
		error = wl_up(wl);
	if (error) {
		dev_warn_ratelimited(&vdev->dev, "cannot be set up again: %d\n", error);
		virtio_add_status(vdev, VIRTIO_CONFIG_S_FAILED);
		wl_schedule_reset(wl);
	}
unlock:
	mutex_unlock(&wl->power);
}

static void wl_find_region(struct wl_device *wl)
{
	struct virtio_shm_region region;

	if (!wl->has_memory || !virtio_get_shm_region(wl->vdev, &region, WL_REGION))
		return;
	if (!PAGE_ALIGNED(region.addr) || region.len > U64_MAX - region.addr)
		return;
	if (!request_mem_region(region.addr, region.len, "virtio_wl")) {
		dev_warn(&wl->vdev->dev, "its shared memory is in use by another driver\n");
		return;
	}
	wl->region = region.addr;
	wl->region_requested_size = region.len;
	wl->region_size = round_down(region.len, PAGE_SIZE);
}

static int wl_probe(struct virtio_device *vdev)
{
	struct wl_device *wl = kzalloc(sizeof(*wl), GFP_KERNEL);
	int error;

	if (!wl)
		return -ENOMEM;
	kref_init(&wl->ref);
	wl->vdev = vdev;
	vdev->priv = wl;
	mutex_init(&wl->power);
	init_waitqueue_head(&wl->state_wait);
	INIT_DELAYED_WORK(&wl->reset_work, wl_reset_work);
	wl->last_reset = jiffies - WL_RESET_PERIOD;
	spin_lock_init(&wl->out_lock);
	INIT_LIST_HEAD(&wl->waiting);
	INIT_WORK(&wl->in_work, wl_in_work);
	xa_init_flags(&wl->vfds, XA_FLAGS_ALLOC);
	init_waitqueue_head(&wl->closing_wait);

	wl->has_flags = virtio_has_feature(vdev, WL_F_TRANS_FLAGS);
	wl->has_memory = virtio_has_feature(vdev, WL_F_USE_SHMEM);
	wl->has_size64 = virtio_has_feature(vdev, WL_F_SIZE64);
	wl->has_events = virtio_has_feature(vdev, WL_F_EVENTS);
	wl->has_doorbells = virtio_has_feature(vdev, WL_F_DOORBELLS);
	wl->has_credit = virtio_has_feature(vdev, WL_F_CREDIT);
	wl->shows_once = virtio_has_feature(vdev, WL_F_SHOW_ONCE);
	wl_find_region(wl);

	wl->index = ida_alloc(&wl_indices, GFP_KERNEL);
	if (wl->index < 0) {
		error = wl->index;
		goto release;
	}
	snprintf(wl->name, sizeof(wl->name), "wl%d", wl->index);
	wl->misc.minor = MISC_DYNAMIC_MINOR;
	wl->misc.name = wl->name;
	wl->misc.fops = &wl_device_fops;
	wl->misc.parent = &vdev->dev;
	/* What may be reached by it is the host's to say. */
	wl->misc.mode = 0666;

	mutex_lock(&wl->power);
	error = wl_up(wl);
	mutex_unlock(&wl->power);
	if (error)
		goto free_index;
	error = misc_register(&wl->misc);
	if (!error)
		return 0;
	mutex_lock(&wl->power);
	wl_set_state(wl, WL_GONE);
	wl_down(wl);
	mutex_unlock(&wl->power);
	cancel_delayed_work_sync(&wl->reset_work);
free_index:
	ida_free(&wl_indices, wl->index);
release:
	if (wl->region_requested_size)
		release_mem_region(wl->region, wl->region_requested_size);
	wl_device_put(wl);
	return error;
}

/* Files may be open still: they are hung up, and the last one frees what is left. */
static void wl_remove(struct virtio_device *vdev)
{
	struct wl_device *wl = vdev->priv;

	misc_deregister(&wl->misc);
	mutex_lock(&wl->power);
	wl_set_state(wl, WL_GONE);
	wl_down(wl);
	mutex_unlock(&wl->power);
	cancel_delayed_work_sync(&wl->reset_work);
	wait_event_timeout(wl->closing_wait, !atomic_read(&wl->closing), WL_RESET_WAIT);
	wl_memory_forget(wl);
	if (wl->region_requested_size)
		release_mem_region(wl->region, wl->region_requested_size);
	ida_free(&wl_indices, wl->index);
	wl_device_put(wl);
}

#ifdef CONFIG_PM_SLEEP

static int wl_freeze(struct virtio_device *vdev)
{
	struct wl_device *wl = vdev->priv;

	mutex_lock(&wl->power);
	wl_set_state(wl, WL_DOWN);
	wl_down(wl);
	mutex_unlock(&wl->power);
	return 0;
}

static int wl_restore(struct virtio_device *vdev)
{
	struct wl_device *wl = vdev->priv;
	int error;

	mutex_lock(&wl->power);
	error = wl_up(wl);
	mutex_unlock(&wl->power);
	return error;
}

#endif /* CONFIG_PM_SLEEP */

static const struct virtio_device_id wl_ids[] = {
	{ WL_DEVICE_ID, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, wl_ids);

static const unsigned int wl_features[] = {
	WL_F_TRANS_FLAGS,
	WL_F_USE_SHMEM,
	WL_F_SIZE64,
	WL_F_EVENTS,
	WL_F_CREDIT,
	WL_F_DOORBELLS,
	WL_F_SHOW_ONCE,
};

static struct virtio_driver wl_driver = {
	.feature_table = wl_features,
	.feature_table_size = ARRAY_SIZE(wl_features),
	.driver.name = "virtio_wl",
	.driver.owner = THIS_MODULE,
	.id_table = wl_ids,
	.probe = wl_probe,
	.remove = wl_remove,
	.config_changed = wl_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = wl_freeze,
	.restore = wl_restore,
#endif
};

static int __init wl_init(void)
{
	int error;

	wl_workqueue = alloc_workqueue("virtio_wl", WQ_UNBOUND, 0);
	if (!wl_workqueue)
		return -ENOMEM;
	error = wl_files_init();
	if (error)
		goto destroy;
	error = wl_doorbells_init();
	if (error)
		goto close_files;
	error = register_virtio_driver(&wl_driver);
	if (!error)
		return 0;
	wl_doorbells_exit();
close_files:
	wl_files_exit();
destroy:
	destroy_workqueue(wl_workqueue);
	return error;
}
module_init(wl_init);

static void __exit wl_exit(void)
{
	unregister_virtio_driver(&wl_driver);
	wl_doorbells_exit();
	/* No file is open; works that end now have let go of the module as their last act but one. */
	destroy_workqueue(wl_workqueue);
	wl_files_exit();
}
module_exit(wl_exit);

MODULE_DESCRIPTION("Virtio Wayland");
MODULE_LICENSE("Dual BSD/GPL");
