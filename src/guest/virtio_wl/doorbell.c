// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Events that cross without the device: the doorbell function, a PCI function with a vector and a page per slot. The
 * host raises the vector of a slot when the event is signalled that is bound to it, and signals an event when its page is
 * written. Events whose program has not asked for it, and those that find no slot, go by the device's queues.
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "wl.h"

#define WL_DOORBELL_VENDOR 0x1af4
#define WL_DOORBELL_DEVICE 0x10f0
#define WL_DOORBELL_PAGES_BAR 2
#define WL_DOORBELL_PAGE_SIZE 4096
#define WL_DOORBELLS_MAX 1024

struct wl_slot {
	spinlock_t lock;	/* outside of a VFD's */
	struct wl_vfd *vfd;	/* whose it is, with a reference; NULL: free */
	bool reads;		/* its vector rings for that */
	bool has_irq;		/* stays requested, once it was; by wl_doorbells_lock */
	char name[24];
};

/* The function, which outlives its driver while VFDs have slots. */
struct wl_doorbells {
	struct kref ref;
	struct pci_dev *pdev;
	u8 __iomem *pages;
	bool gone;		/* by the locks of slots */
	u32 count;
	struct wl_slot slots[];
};

/* Finding a slot against the coming and going of the function. */
static DEFINE_MUTEX(wl_doorbells_lock);
static struct wl_doorbells *wl_doorbells;

/* Bindings to be made. Not wl_workqueue, whose works wait for these. */
static struct workqueue_struct *wl_bell_workqueue;

static void wl_doorbells_free(struct kref *ref)
{
	kfree(container_of(ref, struct wl_doorbells, ref));
}

/* Anywhere, in interrupts, too. */
static void wl_doorbells_put(struct wl_doorbells *doorbells)
{
	kref_put(&doorbells->ref, wl_doorbells_free);
}

static irqreturn_t wl_slot_interrupt(int irq, void *data)
{
	struct wl_slot *slot = data;

	spin_lock(&slot->lock);
	if (slot->vfd && slot->reads)
		wl_event_add(slot->vfd, 1);
	spin_unlock(&slot->lock);
	return IRQ_HANDLED;
}

static int wl_slot_request_irq(struct wl_doorbells *doorbells, u32 index)
{
	struct wl_slot *slot = &doorbells->slots[index];
	int error;

	if (slot->has_irq)
		return 0;
	snprintf(slot->name, sizeof(slot->name), "virtio_wl-doorbell%u", index);
	error = request_irq(pci_irq_vector(doorbells->pdev, index), wl_slot_interrupt, 0, slot->name, slot);
	slot->has_irq = !error;
	return error;
}

static bool wl_slot_take(struct wl_slot *slot, struct wl_vfd *vfd, bool reads)
{
	bool taken;

	spin_lock_irq(&slot->lock);
	taken = !slot->vfd;
	if (taken) {
		kref_get(&vfd->ref);
		slot->vfd = vfd;
		slot->reads = reads;
	}
	spin_unlock_irq(&slot->lock);
	return taken;
}

/* Frees the slot of a binding, if it has one. Anywhere. */
static void wl_bell_free_slot(struct wl_bell *bell)
{
	struct wl_doorbells *doorbells = bell->doorbells;
	struct wl_slot *slot;
	struct wl_vfd *vfd;
	unsigned long flags;

	if (!doorbells)
		return;
	slot = &doorbells->slots[bell->slot];
	WRITE_ONCE(bell->page, NULL);
	spin_lock_irqsave(&slot->lock, flags);
	vfd = slot->vfd;
	slot->vfd = NULL;
	spin_unlock_irqrestore(&slot->lock, flags);
	bell->doorbells = NULL;
	wl_doorbells_put(doorbells);
	wl_vfd_put(vfd);
}

/* Finds a slot. Those with a vector for readers at one end, so that others use up no vectors. */
static int wl_bell_find_slot(struct wl_bell *bell)
{
	struct wl_doorbells *doorbells;
	int error = -ENOSPC;
	u32 i;

	mutex_lock(&wl_doorbells_lock);
	doorbells = wl_doorbells;
	for (i = 0; doorbells && i < doorbells->count; i++) {
		u32 index = bell->reads ? i : doorbells->count - 1 - i;

		if (!wl_slot_take(&doorbells->slots[index], bell->request.vfd, bell->reads))
			continue;
		kref_get(&doorbells->ref);
		bell->doorbells = doorbells;
		bell->slot = index;
		error = bell->reads ? wl_slot_request_irq(doorbells, index) : 0;
		if (error)
			wl_bell_free_slot(bell);
		break;
	}
	mutex_unlock(&wl_doorbells_lock);
	return error;
}

/* A binding is made, or will not be. */
static void wl_bell_done(struct wl_request *request, int error)
{
	struct wl_bell *bell = container_of(request, struct wl_bell, request);
	struct wl_vfd *vfd = request->vfd;
	unsigned long flags;
	bool gone = false;

	if (!error && request->written < sizeof(bell->response))
		error = -EIO;
	if (!error)
		error = wl_response_error(le32_to_cpu(READ_ONCE(bell->response.type)));
	if (error) {
		wl_bell_free_slot(bell);
	} else {
		struct wl_doorbells *doorbells = bell->doorbells;

		spin_lock_irqsave(&doorbells->slots[bell->slot].lock, flags);
		gone = doorbells->gone;
		if (!gone && !bell->reads)
			WRITE_ONCE(bell->page, doorbells->pages + bell->slot * WL_DOORBELL_PAGE_SIZE);
		spin_unlock_irqrestore(&doorbells->slots[bell->slot].lock, flags);
	}
	spin_lock_irqsave(&vfd->lock, flags);
	bell->state = error ? WL_BELL_RELAYED : WL_BELL_BOUND;
	spin_unlock_irqrestore(&vfd->lock, flags);
	if (gone && bell->reads)
		wl_vfd_hang_up(vfd);
	wl_vfd_finish_once(vfd);
	wl_vfd_put(vfd);
}

static void wl_bell_work(struct work_struct *work)
{
	struct wl_bell *bell = container_of(work, struct wl_bell, work);
	int error = wl_bell_find_slot(bell);

	if (!error) {
		bell->command.vfd_id = cpu_to_le32(bell->request.vfd->id);
		bell->command.slot = cpu_to_le32(bell->slot);
		error = wl_submit(&bell->request);
	}
	if (error)
		wl_bell_done(&bell->request, error);
}

static void wl_bell_init(struct wl_bell *bell, struct wl_vfd *vfd, bool reads)
{
	bell->reads = reads;
	bell->command.header.type = cpu_to_le32(WL_CMD_VFD_DOORBELL);
	bell->command.flags = cpu_to_le32(reads ? WL_VFD_READ : WL_VFD_WRITE);
	bell->request.vfd = vfd;
	bell->request.command = &bell->command;
	bell->request.command_size = sizeof(bell->command);
	bell->request.response = &bell->response;
	bell->request.response_size = sizeof(bell->response);
	bell->request.done = wl_bell_done;
	INIT_WORK(&bell->work, wl_bell_work);
}

/* Begins to bind an event whose program wants that, the first time. Until it is bound it is relayed. */
void wl_bell_want(struct wl_vfd *vfd, bool reads)
{
	struct wl_bells *bells = smp_load_acquire(&vfd->bells);
	struct wl_bell *bell;
	bool start;

	if (!bells)
		return;
	bell = reads ? &bells->read : &bells->write;
	if (READ_ONCE(bell->state) != WL_BELL_UNASKED)
		return;
	spin_lock_irq(&vfd->lock);
	start = bell->state == WL_BELL_UNASKED;
	if (start) {
		bell->state = WL_BELL_ASKED;
		kref_get(&vfd->ref);
	}
	spin_unlock_irq(&vfd->lock);
	if (start)
		queue_work(wl_bell_workqueue, &bell->work);
}

/* VIRTWL_IOCTL_DOORBELL */
long wl_bell_ioctl(struct wl_vfd *vfd)
{
	struct wl_bells *bells;
	bool armed;

	if (!vfd->wl->has_doorbells || READ_ONCE(vfd->bells))
		return 0;
	bells = kzalloc(sizeof(*bells), GFP_KERNEL_ACCOUNT);
	if (!bells)
		return -ENOMEM;
	wl_bell_init(&bells->read, vfd, true);
	wl_bell_init(&bells->write, vfd, false);
	if (cmpxchg_release(&vfd->bells, NULL, bells)) {
		kfree(bells);
		return 0;
	}
	spin_lock_irq(&vfd->lock);
	armed = vfd->armed;
	spin_unlock_irq(&vfd->lock);
	if (armed)
		wl_bell_want(vfd, true);
	return 0;
}

/* Rings without the device. False when that is not possible. */
bool wl_bell_ring(struct wl_vfd *vfd)
{
	struct wl_bells *bells = smp_load_acquire(&vfd->bells);
	u8 __iomem *page;

	if (!bells)
		return false;
	rcu_read_lock();
	page = READ_ONCE(bells->write.page);
	if (page)
		iowrite32(1, page);
	rcu_read_unlock();
	return page;
}

/* Whether the device may still answer that an event is bound. By the VFD's lock. */
bool wl_bell_is_asked(const struct wl_vfd *vfd)
{
	const struct wl_bells *bells = vfd->bells;

	return bells && (bells->read.state == WL_BELL_ASKED || bells->write.state == WL_BELL_ASKED);
}

static void wl_bell_release_one(struct wl_vfd *vfd, struct wl_bell *bell)
{
	unsigned long flags;
	bool bound;

	spin_lock_irqsave(&vfd->lock, flags);
	bound = bell->state == WL_BELL_BOUND;
	if (bound)
		bell->state = WL_BELL_RELAYED;
	spin_unlock_irqrestore(&vfd->lock, flags);
	if (bound)
		wl_bell_free_slot(bell);
}

/* The device has nothing bound to a VFD any more. Anywhere. */
void wl_bell_release(struct wl_vfd *vfd)
{
	if (!vfd->bells)
		return;
	wl_bell_release_one(vfd, &vfd->bells->read);
	wl_bell_release_one(vfd, &vfd->bells->write);
}

/* Waits until no binding is on its way to a device, which takes no commands any more. */
void wl_bell_flush(void)
{
	flush_workqueue(wl_bell_workqueue);
}

static void wl_bell_show_one(struct seq_file *seq, const char *name, const struct wl_bell *bell)
{
	if (READ_ONCE(bell->state) == WL_BELL_BOUND)
		seq_printf(seq, "wl-doorbell-%s:\t%u\n", name, READ_ONCE(bell->slot));
}

void wl_bell_show(struct seq_file *seq, const struct wl_vfd *vfd)
{
	const struct wl_bells *bells = smp_load_acquire(&vfd->bells);

	if (!bells)
		return;
	wl_bell_show_one(seq, "read", &bells->read);
	wl_bell_show_one(seq, "write", &bells->write);
}

static int wl_doorbells_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct wl_doorbells *doorbells;
	int vectors, error;
	u32 count, i;

	error = pcim_enable_device(pdev);
	if (error)
		return error;
	error = pcim_iomap_regions(pdev, BIT(WL_DOORBELL_PAGES_BAR), "virtio_wl");
	if (error)
		return error;
	pci_set_master(pdev);
	vectors = pci_alloc_irq_vectors(pdev, 1, WL_DOORBELLS_MAX, PCI_IRQ_MSIX);
	if (vectors < 0)
		return vectors;
	count = min_t(u64, vectors, pci_resource_len(pdev, WL_DOORBELL_PAGES_BAR) / WL_DOORBELL_PAGE_SIZE);
	doorbells = kzalloc(struct_size(doorbells, slots, count), GFP_KERNEL);
	if (!doorbells) {
		pci_free_irq_vectors(pdev);
		return -ENOMEM;
	}
	kref_init(&doorbells->ref);
	doorbells->pdev = pdev;
	doorbells->pages = pcim_iomap_table(pdev)[WL_DOORBELL_PAGES_BAR];
	doorbells->count = count;
	for (i = 0; i < count; i++)
		spin_lock_init(&doorbells->slots[i].lock);
	pci_set_drvdata(pdev, doorbells);

	mutex_lock(&wl_doorbells_lock);
	if (!wl_doorbells)
		wl_doorbells = doorbells;
	error = wl_doorbells == doorbells ? 0 : -EBUSY;
	mutex_unlock(&wl_doorbells_lock);
	if (error) {
		pci_free_irq_vectors(pdev);
		wl_doorbells_put(doorbells);
	}
	return error;
}

/* Takes the function away from a VFD that has a slot, until that is closed. */
static void wl_slot_retire(struct wl_doorbells *doorbells, u32 index)
{
	struct wl_slot *slot = &doorbells->slots[index];
	struct wl_vfd *vfd;
	bool reads;

	if (slot->has_irq)
		free_irq(pci_irq_vector(doorbells->pdev, index), slot);
	slot->has_irq = false;
	spin_lock_irq(&slot->lock);
	doorbells->gone = true;
	vfd = slot->vfd;
	reads = slot->reads;
	if (vfd) {
		kref_get(&vfd->ref);
		WRITE_ONCE(vfd->bells->write.page, NULL);
	}
	spin_unlock_irq(&slot->lock);
	if (!vfd)
		return;
	/* Its counts go where nobody hears of them. What is written to it is relayed again. */
	if (reads)
		wl_vfd_hang_up(vfd);
	wl_vfd_put(vfd);
}

static void wl_doorbells_remove(struct pci_dev *pdev)
{
	struct wl_doorbells *doorbells = pci_get_drvdata(pdev);
	u32 i;

	mutex_lock(&wl_doorbells_lock);
	wl_doorbells = NULL;
	for (i = 0; i < doorbells->count; i++)
		wl_slot_retire(doorbells, i);
	mutex_unlock(&wl_doorbells_lock);
	/* Pages are unmapped next. */
	synchronize_rcu();
	pci_free_irq_vectors(pdev);
	wl_doorbells_put(doorbells);
}

static const struct pci_device_id wl_doorbells_ids[] = {
	{ PCI_DEVICE(WL_DOORBELL_VENDOR, WL_DOORBELL_DEVICE) },
	{ 0 },
};
MODULE_DEVICE_TABLE(pci, wl_doorbells_ids);

static struct pci_driver wl_doorbells_driver = {
	.name = "virtio_wl_doorbell",
	.id_table = wl_doorbells_ids,
	.probe = wl_doorbells_probe,
	.remove = wl_doorbells_remove,
};

int wl_doorbells_init(void)
{
	int error;

	wl_bell_workqueue = alloc_workqueue("virtio_wl_doorbell", WQ_UNBOUND, 0);
	if (!wl_bell_workqueue)
		return -ENOMEM;
	error = pci_register_driver(&wl_doorbells_driver);
	if (error)
		destroy_workqueue(wl_bell_workqueue);
	return error;
}

void wl_doorbells_exit(void)
{
	pci_unregister_driver(&wl_doorbells_driver);
	destroy_workqueue(wl_bell_workqueue);
}
