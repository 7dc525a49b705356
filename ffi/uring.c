// Part of shim.c: an io_uring that can only read, write and sync one registered file.
//
// libc has no io_uring. The entries that the kernel reads are mapped outside of the window, and
// only the functions here fill them: an address in them always lies in the window. The rings
// themselves (indices and completions) are in the window, where the script reads completions
// without a call; what is believed of them here is kept in `rings`.

#include <linux/io_uring.h>
#include <sys/syscall.h>

#define MAX_RINGS 8
#define RING_VECTORS 4096

static struct ring {
  int fd; // 0: free
  uint32_t entries, tail, pending;
  struct io_uring_sqe *sqes;
  struct iovec *vectors; // of the entries not yet submitted
  uint32_t vectors_used;
  double area; // window offset of the rings
  uint32_t sq_head, sq_tail, sq_array;
} rings[MAX_RINGS];

static long enter(int fd, uint32_t submit, uint32_t complete, uint32_t flags) {
  return syscall(SYS_io_uring_enter, fd, submit, complete, flags, NULL, 0);
}

static long ring_register(int fd, unsigned operation, const void *argument, unsigned count) {
  return syscall(SYS_io_uring_register, fd, operation, argument, count);
}

static int restrict_ring(int fd, int file) {
  static const uint8_t allowed[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV, IORING_OP_WRITEV,
                                    IORING_OP_FSYNC};
  struct io_uring_restriction rules[sizeof allowed + 2] = {
      {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE},
      {.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
  };
  for (unsigned i = 0; i < sizeof allowed; i++) {
    rules[i + 2] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = allowed[i]};
  }
  if (ring_register(fd, IORING_REGISTER_FILES, &file, 1)) return -errno;
  if (ring_register(fd, IORING_REGISTER_RESTRICTIONS, rules, sizeof allowed + 2)) return -errno;
  if (ring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0)) return -errno;
  return 0;
}

// Makes ring `id`. `area` and `area_size` are the pages of the window that take the rings.
// out: ring descriptor, entries, completion entries, then offsets in the area: completion head, tail,
// first completion, completion overflow counter.
EXPORT int sp_uring_create(uint32_t id, uint32_t entries, int file, double area, double area_size, uint32_t *out) {
  if (id >= MAX_RINGS || rings[id].fd) return -EINVAL;
  uint8_t *place = pages_in_window(area, area_size);
  if (!place) return -EINVAL;
  struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP};
  int fd = (int)syscall(SYS_io_uring_setup, entries, &p);
  if (fd < 0) return -errno;
  size_t sq_size = p.sq_off.array + p.sq_entries * 4;
  size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  size_t size = sq_size > cq_size ? sq_size : cq_size;
  size = (size + PAGE - 1) / PAGE * PAGE;
  void *sqes = MAP_FAILED;
  struct iovec *vectors = MAP_FAILED;
  int error = ENOSYS;
  if (!(p.features & IORING_FEAT_SINGLE_MMAP) || !(p.features & IORING_FEAT_SUBMIT_STABLE)) goto fail;
  error = ENOSPC;
  if (size > area_size) goto fail;
  error = -restrict_ring(fd, file);
  if (error) goto fail;
  sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
              fd, IORING_OFF_SQES);
  error = errno;
  if (sqes == MAP_FAILED) goto fail;
  vectors = mmap(NULL, RING_VECTORS * sizeof *vectors, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  error = errno;
  if (vectors == MAP_FAILED) goto fail;
  if (mmap(place, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING) ==
      MAP_FAILED) {
    error = errno;
    goto fail;
  }
  rings[id] = (struct ring){.fd = fd,
                            .entries = p.sq_entries,
                            .sqes = sqes,
                            .vectors = vectors,
                            .area = area,
                            .sq_head = p.sq_off.head,
                            .sq_tail = p.sq_off.tail,
                            .sq_array = p.sq_off.array};
  uint32_t answer[7] = {(uint32_t)fd,  p.sq_entries,  p.cq_entries,     p.cq_off.head,
                        p.cq_off.tail, p.cq_off.cqes, p.cq_off.overflow};
  memcpy(out, answer, sizeof answer);
  return 0;
fail:
  if (sqes != MAP_FAILED) munmap(sqes, p.sq_entries * sizeof(struct io_uring_sqe));
  if (vectors != MAP_FAILED) munmap(vectors, RING_VECTORS * sizeof *vectors);
  close(fd);
  return -error;
}

// The mapping in the window is the caller's to unmap; the descriptor is closed here.
EXPORT int sp_uring_destroy(uint32_t id) {
  if (id >= MAX_RINGS || !rings[id].fd) return -EINVAL;
  struct ring *ring = &rings[id];
  munmap(ring->sqes, ring->entries * sizeof(struct io_uring_sqe));
  munmap(ring->vectors, RING_VECTORS * sizeof *ring->vectors);
  close(ring->fd);
  *ring = (struct ring){0};
  return 0;
}

static uint32_t *ring_word(struct ring *ring, uint32_t offset) {
  return (uint32_t *)(void *)in_window(ring->area + offset, 4);
}

// The next free entry, or NULL when the kernel has not taken the oldest yet.
static struct io_uring_sqe *next_entry(struct ring *ring, uint32_t operation, double file_offset, double user_data) {
  uint32_t head = __atomic_load_n(ring_word(ring, ring->sq_head), __ATOMIC_ACQUIRE);
  if (ring->tail - head >= ring->entries) return NULL;
  uint32_t index = ring->tail & (ring->entries - 1);
  struct io_uring_sqe *sqe = &ring->sqes[index];
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = (uint8_t)operation;
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->off = (uint64_t)file_offset;
  sqe->user_data = (uint64_t)user_data;
  *ring_word(ring, ring->sq_array + 4 * index) = index;
  return sqe;
}

static int queued(struct ring *ring) {
  __atomic_store_n(ring_word(ring, ring->sq_tail), ++ring->tail, __ATOMIC_RELEASE);
  ring->pending++;
  return 0;
}

// Queues a read (write = 0) or write between the file and one range of the window.
EXPORT int sp_uring_transfer(uint32_t id, int write, double offset, double length, double file_offset, double user_data) {
  if (id >= MAX_RINGS || !rings[id].fd) return -EINVAL;
  uint8_t *address = in_window(offset, length);
  if (!address || length > 0x7ffff000 || !(file_offset >= 0)) return -EFAULT;
  struct io_uring_sqe *sqe = next_entry(&rings[id], write ? IORING_OP_WRITE : IORING_OP_READ, file_offset, user_data);
  if (!sqe) return -EBUSY;
  sqe->addr = (uintptr_t)address;
  sqe->len = (uint32_t)length;
  return queued(&rings[id]);
}

// The same with a vector; the kernel copies the addresses when they are submitted.
EXPORT int sp_uring_vector(uint32_t id, int write, double vector, uint32_t count, double file_offset, double user_data) {
  if (id >= MAX_RINGS || !rings[id].fd) return -EINVAL;
  struct ring *ring = &rings[id];
  if (count > RING_VECTORS - ring->vectors_used) return -EBUSY;
  struct iovec *iov = ring->vectors + ring->vectors_used;
  int bad = load_vector(iov, vector, count);
  if (bad) return bad;
  if (!(file_offset >= 0)) return -EFAULT;
  struct io_uring_sqe *sqe = next_entry(ring, write ? IORING_OP_WRITEV : IORING_OP_READV, file_offset, user_data);
  if (!sqe) return -EBUSY;
  ring->vectors_used += count;
  sqe->addr = (uintptr_t)iov;
  sqe->len = count;
  return queued(ring);
}

// Queues an fdatasync of the whole file.
EXPORT int sp_uring_sync(uint32_t id, double user_data) {
  if (id >= MAX_RINGS || !rings[id].fd) return -EINVAL;
  struct io_uring_sqe *sqe = next_entry(&rings[id], IORING_OP_FSYNC, 0, user_data);
  if (!sqe) return -EBUSY;
  sqe->fsync_flags = IORING_FSYNC_DATASYNC;
  return queued(&rings[id]);
}

// Hands what is queued to the kernel; waits for `complete` completions. Returns how many it took.
EXPORT int sp_uring_submit(uint32_t id, uint32_t complete) {
  if (id >= MAX_RINGS || !rings[id].fd) return -EINVAL;
  struct ring *ring = &rings[id];
  int n = result(enter(ring->fd, ring->pending, complete, complete ? IORING_ENTER_GETEVENTS : 0));
  if (n < 0) return n;
  ring->pending -= (uint32_t)n <= ring->pending ? (uint32_t)n : ring->pending;
  if (!ring->pending) ring->vectors_used = 0;
  return n;
}
