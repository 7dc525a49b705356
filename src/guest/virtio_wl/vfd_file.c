// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * VFDs as open files. Each has an inode of its own, on a file system that nobody mounts: so that all mappings of one
 * memory can be found, and fstat(2) gives its size.
 */
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/pseudo_fs.h>
#include <linux/seq_file.h>

#include "wl.h"

#define WL_FS_MAGIC 0x7669776c

static struct vfsmount *wl_mount;

static int wl_fs_init(struct fs_context *context)
{
	return init_pseudo(context, WL_FS_MAGIC) ? 0 : -ENOMEM;
}

/* Without an owner: our own mount would keep the module for ever. Files keep it while they are open. */
static struct file_system_type wl_fs_type = {
	.name = "virtio_wl",
	.init_fs_context = wl_fs_init,
	.kill_sb = kill_anon_super,
};

int wl_files_init(void)
{
	wl_mount = kern_mount(&wl_fs_type);
	return PTR_ERR_OR_ZERO(wl_mount);
}

void wl_files_exit(void)
{
	kern_unmount(wl_mount);
}

static int wl_release(struct inode *inode, struct file *file)
{
	struct wl_vfd *vfd = file->private_data;

	if (!vfd)
		return 0;
	if (vfd->memory) {
		down_write(&vfd->memory->mapped);
		vfd->inode = NULL;
		up_write(&vfd->memory->mapped);
	}
	wl_vfd_close(vfd);
	return 0;
}

static __poll_t wl_poll(struct file *file, poll_table *wait)
{
	struct wl_vfd *vfd = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &vfd->wait, wait);
	if (vfd->kind == WL_EVENT && poll_requested_events(wait) & EPOLLIN)
		wl_event_arm(vfd);
	spin_lock_irq(&vfd->lock);
	if (vfd->hung_up)
		mask |= EPOLLHUP | EPOLLIN | EPOLLRDNORM;
	if (!list_empty(&vfd->chunks) || vfd->counter)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (vfd->writable && (vfd->hung_up || wl_has_room(vfd)))
		mask |= EPOLLOUT | EPOLLWRNORM;
	/* As for a pipe that nobody reads. */
	if (vfd->hung_up && !vfd->readable)
		mask |= EPOLLERR;
	spin_unlock_irq(&vfd->lock);
	return mask;
}

static long wl_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	switch (command) {
	case VIRTWL_IOCTL_SEND:
		return wl_ioctl_send(file, (void __user *)argument);
	case VIRTWL_IOCTL_RECV:
		return wl_ioctl_recv(file, (void __user *)argument);
	default:
		return -ENOTTY;
	}
}

static long wl_event_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	return command == VIRTWL_IOCTL_DOORBELL ? wl_bell_ioctl(file->private_data) : -ENOTTY;
}

static loff_t wl_llseek(struct file *file, loff_t offset, int whence)
{
	struct wl_vfd *vfd = file->private_data;

	return fixed_size_llseek(file, offset, whence, vfd->memory->size);
}

static void wl_show_fdinfo(struct seq_file *seq, struct file *file)
{
	static const char *const names[] = {
		[WL_SOCKET] = "socket",
		[WL_PIPE] = "pipe",
		[WL_EVENT] = "event",
		[WL_MEMORY] = "memory",
	};
	struct wl_vfd *vfd = file->private_data;

	seq_printf(seq, "wl-kind:\t%s\nwl-id:\t%#x\n", names[vfd->kind], vfd->id);
	if (vfd->memory)
		seq_printf(seq, "wl-size:\t%llu\n", vfd->memory->size);
	else
		seq_printf(seq, "wl-queued:\t%u\nwl-sends:\t%u\n", READ_ONCE(vfd->queued), READ_ONCE(vfd->sends));
	seq_printf(seq, "wl-hung-up:\t%d\n", READ_ONCE(vfd->hung_up));
	wl_bell_show(seq, vfd);
}

static const struct file_operations wl_stream_fops = {
	.owner = THIS_MODULE,
	.release = wl_release,
	.poll = wl_poll,
	.read_iter = wl_read,
	.write_iter = wl_write,
	.unlocked_ioctl = wl_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = wl_show_fdinfo,
};

static const struct file_operations wl_event_fops = {
	.owner = THIS_MODULE,
	.release = wl_release,
	.poll = wl_poll,
	.read_iter = wl_event_read,
	.write_iter = wl_event_write,
	.unlocked_ioctl = wl_event_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = wl_show_fdinfo,
};

static const struct file_operations wl_memory_fops = {
	.owner = THIS_MODULE,
	.release = wl_release,
	.mmap = wl_memory_mmap,
	.llseek = wl_llseek,
	.show_fdinfo = wl_show_fdinfo,
};

/* The VFD of a file, or NULL when it is none of ours. */
struct wl_vfd *wl_file_vfd(struct file *file)
{
	if (file->f_op == &wl_stream_fops || file->f_op == &wl_event_fops || file->f_op == &wl_memory_fops)
		return file->private_data;
	return NULL;
}

/* A file for a VFD, which it owns from now on unless wl_vfd_file_forget() follows. */
struct file *wl_vfd_file(struct wl_vfd *vfd)
{
	const struct file_operations *fops;
	struct inode *inode;
	struct file *file;
	const char *name;
	int mode;

	switch (vfd->kind) {
	case WL_MEMORY:
		fops = &wl_memory_fops;
		name = "virtio_wl:memory";
		break;
	case WL_EVENT:
		fops = &wl_event_fops;
		name = "virtio_wl:event";
		break;
	default:
		fops = &wl_stream_fops;
		name = vfd->kind == WL_PIPE ? "virtio_wl:pipe" : "virtio_wl:socket";
	}
	if (vfd->readable)
		mode = vfd->writable ? O_RDWR : O_RDONLY;
	else
		mode = O_WRONLY;

	inode = alloc_anon_inode(wl_mount->mnt_sb);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	if (vfd->memory)
		i_size_write(inode, vfd->memory->size);
	/* The file gives it back. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, wl_mount, name, mode, fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		return file;
	}
	file->private_data = vfd;
	WRITE_ONCE(vfd->has_file, true);
	/* RWF_NOWAIT works, whatever O_NONBLOCK says. */
	if (!vfd->memory)
		file->f_mode |= FMODE_NOWAIT;
	if (vfd->memory) {
		down_write(&vfd->memory->mapped);
		vfd->inode = inode;
		up_write(&vfd->memory->mapped);
	}
	return file;
}

/* Takes a file that nobody has seen yet away from its VFD, and closes it. */
void wl_vfd_file_forget(struct file *file)
{
	struct wl_vfd *vfd = file->private_data;

	if (vfd->memory) {
		down_write(&vfd->memory->mapped);
		vfd->inode = NULL;
		up_write(&vfd->memory->mapped);
	}
	WRITE_ONCE(vfd->has_file, false);
	file->private_data = NULL;
	fput(file);
}
