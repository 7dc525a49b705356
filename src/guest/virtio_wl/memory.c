// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * VFDs of memory: parts of the device's shared memory region, mapped write-back cached.
 *
 * For direct I/O into a mapping its pages need a struct page (parameter `pages`). They cost 64 bytes each, so only what is mapped gets them,
 * when it is first touched. That takes the locks of CPU and memory hotplug, which must not be taken with mmap_lock (a
 * move between cpusets takes them the other way round): the fault lets go of mmap_lock and is repeated.
 *
 * The host takes the memory away when the VFD is closed, so before that no page may be in use.
 */
#include <linux/file.h>
#include <linux/io.h>
#include <linux/maple_tree.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pfn_t.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "wl.h"

/* What struct pages can be made for, a sub-section of the memory model. */
#define WL_PAGES_ALIGN SZ_2M

/* Pages that a fault maps around the one that was touched, a power of two. */
#define WL_FAULT_AROUND 16

/* Page maps that are kept when nobody uses them any more, and the most bytes of memory of such a one. */
#define WL_IDLE_MAPS 8
#define WL_IDLE_SIZE SZ_16M

/* How long those wait that cannot let go of mmap_lock. */
#define WL_MAKE_WAIT HZ

/* Physical pages that VFDs lie in, of all devices, also of those that are gone, whose pages may still be held. */
static DEFINE_MTREE(wl_ranges);
static DEFINE_MUTEX(wl_ranges_lock);

/* The range of just these pages, for one VFD more if the host may show it several times. */
static struct wl_range *wl_range_get(u64 start, u64 size, bool shared)
{
	struct wl_range *range;
	int error;

	mutex_lock(&wl_ranges_lock);
	range = mtree_load(&wl_ranges, PHYS_PFN(start));
	if (range && shared && !range->stale && range->start == start && range->size == size) {
		range->vfds++;
		goto unlock;
	}
	range = kzalloc(sizeof(*range), GFP_KERNEL);
	if (!range) {
		range = ERR_PTR(-ENOMEM);
		goto unlock;
	}
	range->start = start;
	range->size = size;
	range->vfds = 1;
	mutex_init(&range->lock);
	error = mtree_insert_range(&wl_ranges, PHYS_PFN(start), PHYS_PFN(start + size) - 1, range, GFP_KERNEL);
	if (error) {
		kfree(range);
		range = ERR_PTR(error == -ENOMEM ? error : -EIO);
	}
unlock:
	mutex_unlock(&wl_ranges_lock);
	return range;
}

static void wl_range_put(struct wl_range *range)
{
	mutex_lock(&wl_ranges_lock);
	if (!--range->vfds) {
		mtree_erase(&wl_ranges, PHYS_PFN(range->start));
		kfree(range);
	}
	mutex_unlock(&wl_ranges_lock);
}

/*
 * The memory that the host says a VFD has. An error when it is outside of the region or touches that of another VFD; it may
 * be the same as another's where the host shows memory once.
 */
struct wl_memory *wl_memory_reserve(struct wl_device *wl, u64 pfn, u64 size)
{
	struct wl_memory *memory;
	u64 offset, reserved, larger;

	if (pfn > wl->region_size >> WL_PFN_SHIFT)
		return ERR_PTR(-EIO);
	offset = pfn << WL_PFN_SHIFT;
	if (!size || size > wl->region_size - offset)
		return ERR_PTR(-EIO);
	reserved = PAGE_ALIGN(size);
	/* A host with SIZE64 keeps its VFDs apart, so that each can have struct pages. */
	larger = round_up(size, WL_PAGES_ALIGN);
	if (wl->has_size64 && IS_ALIGNED(wl->region + offset, WL_PAGES_ALIGN) && larger <= wl->region_size - offset)
		reserved = larger;

	memory = kzalloc(sizeof(*memory), GFP_KERNEL);
	if (!memory)
		return ERR_PTR(-ENOMEM);
	memory->start = wl->region + offset;
	memory->size = size;
	memory->reserved = reserved;
	memory->range = wl_range_get(memory->start, reserved, wl->shows_once);
	if (IS_ERR(memory->range)) {
		void *error = memory->range;

		kfree(memory);
		return error;
	}
	init_rwsem(&memory->mapped);
	mutex_init(&memory->lock);
	init_waitqueue_head(&memory->state_wait);
	INIT_WORK(&memory->make_work, wl_memory_make_work);
	return memory;
}

/*
 * To be turned off where a virtio disk has a backend that knows the guest's RAM alone: it takes direct I/O into other
 * memory for a fault of its driver, and any program could break the disk. Without struct pages such I/O is EFAULT.
 */
static bool wl_pages = true;
module_param_named(pages, wl_pages, bool, 0444);
MODULE_PARM_DESC(pages, "Give mapped memory struct pages, so that direct I/O into it works");

/* Whether it is wanted, and where the memory lies allows it. */
static bool wl_may_have_pages(const struct wl_memory *memory)
{
	return IS_ENABLED(CONFIG_ZONE_DEVICE) && wl_pages &&
	       IS_ALIGNED(memory->start | memory->reserved, WL_PAGES_ALIGN);
}

#ifdef CONFIG_ZONE_DEVICE

/* Struct pages of some memory. */
struct wl_page_map {
	struct list_head node;
	struct dev_pagemap pagemap;
};

/*
 * Those that nobody uses, the last one first. A host puts new memory where it has just taken some away, and making a map
 * and giving it up each wait for a grace period and flush all TLBs.
 */
static LIST_HEAD(wl_idle_maps);
static DEFINE_MUTEX(wl_idle_lock);
static unsigned int wl_idle_count;

static void wl_page_map_free(struct wl_page_map *map)
{
	memunmap_pages(&map->pagemap);
	kfree(map);
}

/* Takes the idle map of just this range. Others that touch it are given up. */
static struct wl_page_map *wl_page_map_reuse(u64 start, u64 size)
{
	struct wl_page_map *map, *next, *found = NULL;
	u64 last = start + size - 1;

	mutex_lock(&wl_idle_lock);
	list_for_each_entry_safe(map, next, &wl_idle_maps, node) {
		const struct range *range = &map->pagemap.range;

		if (range->end < start || range->start > last)
			continue;
		list_del(&map->node);
		wl_idle_count--;
		if (range->start == start && range->end == last)
			found = map;
		else
			wl_page_map_free(map);
	}
	mutex_unlock(&wl_idle_lock);
	return found;
}

static struct wl_page_map *wl_page_map_make(u64 start, u64 size)
{
	struct wl_page_map *map = wl_page_map_reuse(start, size);
	u64 cost = PHYS_PFN(size) * sizeof(struct page);

	if (map)
		return map;
	if (PHYS_PFN(cost) > si_mem_available() / 3 * 2) {
		pr_notice_ratelimited("virtio_wl: no direct I/O into %llu MiB, which takes %llu MiB of memory\n", size >> 20,
				      cost >> 20);
		return NULL;
	}
	map = kzalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return NULL;
	map->pagemap.type = MEMORY_DEVICE_GENERIC;
	map->pagemap.range.start = start;
	map->pagemap.range.end = start + size - 1;
	map->pagemap.nr_range = 1;
	if (!IS_ERR(memremap_pages(&map->pagemap, NUMA_NO_NODE)))
		return map;
	kfree(map);
	return NULL;
}

static bool wl_make_pages(struct wl_memory *memory)
{
	struct wl_range *range = memory->range;
	bool made;

	if (!wl_may_have_pages(memory))
		return false;
	mutex_lock(&range->lock);
	if (!range->pages)
		range->pages = wl_page_map_make(range->start, range->size);
	made = range->pages;
	range->users += made;
	mutex_unlock(&range->lock);
	return made;
}

/* Whether anybody holds a page. One reference of each is the page map's. */
static bool wl_pages_held(const struct wl_range *range)
{
	unsigned long pfn = PHYS_PFN(range->start), end = PHYS_PFN(range->start + range->size);

	for (; pfn < end; pfn++) {
		if (page_ref_count(pfn_to_page(pfn)) != 1)
			return true;
		if (pfn % 1024 == 0)
			cond_resched();
	}
	return false;
}

/* Nobody uses a page map any more. Who says that a device is gone looks at the list afterwards. */
static void wl_page_map_idle(struct wl_page_map *map, const struct wl_range *range, const struct wl_device *wl)
{
	mutex_lock(&wl_idle_lock);
	if (range->size <= WL_IDLE_SIZE && READ_ONCE(wl->state) != WL_GONE) {
		list_add(&map->node, &wl_idle_maps);
		map = NULL;
		if (++wl_idle_count > WL_IDLE_MAPS) {
			map = list_last_entry(&wl_idle_maps, struct wl_page_map, node);
			list_del(&map->node);
			wl_idle_count--;
		}
	}
	mutex_unlock(&wl_idle_lock);
	if (map)
		wl_page_map_free(map);
}

/* False while somebody holds a page that only this VFD could have given out. */
static bool wl_unmake_pages(struct wl_memory *memory)
{
	struct wl_range *range = memory->range;
	bool last, held;

	mutex_lock(&range->lock);
	last = range->users == 1;
	held = last && wl_pages_held(range);
	if (!held)
		range->users--;
	if (last && !held) {
		wl_page_map_idle(range->pages, range, memory->vfd->wl);
		range->pages = NULL;
	}
	mutex_unlock(&range->lock);
	return !held;
}

/* The device is gone: no page map of its region is kept. */
void wl_memory_forget(const struct wl_device *wl)
{
	struct wl_page_map *map = NULL;

	if (wl->region_size)
		map = wl_page_map_reuse(wl->region, wl->region_size);
	if (map)
		wl_page_map_free(map);
}

#else

static bool wl_make_pages(struct wl_memory *memory)
{
	return false;
}

static bool wl_unmake_pages(struct wl_memory *memory)
{
	return true;
}

void wl_memory_forget(const struct wl_device *wl)
{
}

#endif /* CONFIG_ZONE_DEVICE */

/* Prepares memory for being mapped, once. Without mmap_lock. */
static void wl_memory_make(struct wl_memory *memory)
{
	enum wl_memory_state state = WL_BARE;

	mutex_lock(&memory->lock);
	if (memory->state == WL_BARE) {
		if (wl_make_pages(memory)) {
			state = WL_PAGES;
		} else {
			/* Unused, but it fixes the type of the pages: write-back, as the mappings of programs are then. */
			memory->window = memremap(memory->start, memory->reserved, MEMREMAP_WB);
			if (memory->window)
				state = WL_PLAIN;
		}
		/* Who sees the state sees the pages. */
		smp_store_release(&memory->state, state);
	}
	mutex_unlock(&memory->lock);
	wake_up_all(&memory->state_wait);
}

/* The VFD, whose memory it is, has a reference for this work. */
void wl_memory_make_work(struct work_struct *work)
{
	struct wl_memory *memory = container_of(work, struct wl_memory, make_work);
	struct wl_vfd *vfd = memory->vfd;

	wl_memory_make(memory);
	wl_vfd_put(vfd);
}

/* Whether there is something to give up. */
bool wl_memory_is_mapped(const struct wl_memory *memory)
{
	enum wl_memory_state state = smp_load_acquire(&memory->state);

	return state == WL_PAGES || state == WL_PLAIN;
}

/*
 * Gives up the pages, when nothing maps them any more. False while somebody holds one. Takes milliseconds if they were
 * ever mapped.
 */
bool wl_memory_unmap(struct wl_memory *memory)
{
	mutex_lock(&memory->lock);
	if (memory->state == WL_PAGES && !wl_unmake_pages(memory)) {
		mutex_unlock(&memory->lock);
		return false;
	}
	if (memory->state == WL_PLAIN)
		memunmap(memory->window);
	if (memory->state != WL_UNMAPPED)
		wl_range_put(memory->range);
	smp_store_release(&memory->state, WL_UNMAPPED);
	mutex_unlock(&memory->lock);
	wake_up_all(&memory->state_wait);
	return true;
}

/* The device was reset: what it shows in the same place from now on is not this memory, whose pages may still be held. */
void wl_memory_retire(struct wl_memory *memory)
{
	mutex_lock(&memory->lock);
	if (memory->state != WL_UNMAPPED) {
		mutex_lock(&wl_ranges_lock);
		memory->range->stale = true;
		mutex_unlock(&wl_ranges_lock);
	}
	mutex_unlock(&memory->lock);
}

/* Takes the pages out of all mappings; who touches one from now on gets SIGBUS. */
void wl_memory_hang_up(struct wl_vfd *vfd)
{
	struct wl_memory *memory = vfd->memory;

	down_write(&memory->mapped);
	memory->hung_up = true;
	if (vfd->inode)
		unmap_mapping_range(vfd->inode->i_mapping, 0, 0, 1);
	up_write(&memory->mapped);
}

static vm_fault_t wl_insert(struct vm_fault *vmf, const struct wl_memory *memory, unsigned long address, pgoff_t offset)
{
	unsigned long pfn = PHYS_PFN(memory->start) + offset;
	int error;

	if (memory->state == WL_PLAIN)
		return vmf_insert_mixed(vmf->vma, address, __pfn_to_pfn_t(pfn, PFN_DEV));
	error = vm_insert_page(vmf->vma, address, pfn_to_page(pfn));
	if (!error || error == -EBUSY)
		return VM_FAULT_NOPAGE;
	return error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/* Maps a page and its neighbours. */
static vm_fault_t wl_insert_around(struct vm_fault *vmf, const struct wl_memory *memory)
{
	pgoff_t pages = PHYS_PFN(PAGE_ALIGN(memory->size));
	struct vm_area_struct *vma = vmf->vma;
	pgoff_t first, last, offset;
	vm_fault_t result;

	if (vmf->pgoff >= pages)
		return VM_FAULT_SIGBUS;
	result = wl_insert(vmf, memory, vmf->address, vmf->pgoff);
	if (result != VM_FAULT_NOPAGE)
		return result;
	first = max(round_down(vmf->pgoff, WL_FAULT_AROUND), vma->vm_pgoff);
	last = min3(round_down(vmf->pgoff, WL_FAULT_AROUND) + WL_FAULT_AROUND, pages, vma->vm_pgoff + vma_pages(vma));
	for (offset = first; offset < last; offset++) {
		unsigned long address = vma->vm_start + ((offset - vma->vm_pgoff) << PAGE_SHIFT);

		if (offset != vmf->pgoff && wl_insert(vmf, memory, address, offset) != VM_FAULT_NOPAGE)
			break;
	}
	return VM_FAULT_NOPAGE;
}

/* The first fault of all. 0 when the pages are there; otherwise the answer to this fault. */
static vm_fault_t wl_await_pages(struct vm_fault *vmf, struct wl_memory *memory)
{
	struct file *file;

	if (smp_load_acquire(&memory->state) != WL_BARE)
		return 0;
	if (fault_flag_allow_retry_first(vmf->flags)) {
		if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
			return VM_FAULT_RETRY;
		file = get_file(vmf->vma->vm_file);
		mmap_read_unlock(vmf->vma->vm_mm);
		wl_memory_make(memory);
		fput(file);
		return VM_FAULT_RETRY;
	}
	/* Who pins pages may have to keep mmap_lock; the work that mmap() started needs it not. */
	wait_event_timeout(memory->state_wait, smp_load_acquire(&memory->state) != WL_BARE, WL_MAKE_WAIT);
	return smp_load_acquire(&memory->state) == WL_BARE ? VM_FAULT_SIGBUS : 0;
}

static vm_fault_t wl_memory_fault(struct vm_fault *vmf)
{
	struct wl_vfd *vfd = vmf->vma->vm_private_data;
	struct wl_memory *memory = vfd->memory;
	vm_fault_t result = wl_await_pages(vmf, memory);

	if (result)
		return result;
	down_read(&memory->mapped);
	if (memory->hung_up || !wl_memory_is_mapped(memory))
		result = VM_FAULT_SIGBUS;
	else
		result = wl_insert_around(vmf, memory);
	up_read(&memory->mapped);
	return result;
}

static const struct vm_operations_struct wl_memory_operations = {
	.fault = wl_memory_fault,
};

int wl_memory_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct wl_vfd *vfd = file->private_data;

	if (!vfd->writable && vma->vm_flags & VM_MAYSHARE) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vma->vm_flags &= ~VM_MAYWRITE;
	}
	vma->vm_flags |= VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP;
	/* Nobody looks for struct pages there then. */
	if (!wl_may_have_pages(vfd->memory))
		vma->vm_flags |= VM_IO;
	vma->vm_ops = &wl_memory_operations;
	vma->vm_private_data = vfd;
	if (READ_ONCE(vfd->memory->state) == WL_BARE) {
		kref_get(&vfd->ref);
		if (!queue_work(wl_workqueue, &vfd->memory->make_work))
			wl_vfd_put(vfd);
	}
	return 0;
}
