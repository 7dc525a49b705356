// Part of shim.c: an io_uring that can only read, write and sync one registered file.
//
// libc has no io_uring. The rings are mapped outside of the window (recent kernels refuse to map
// them at a chosen address) and only the functions here touch them: an address in an entry always
// lies in the window, whatever the script does.

#include <linux/io_uring.h>
#include <sys/syscall.h>

#define MAX_RINGS 8
#define RING_VECTORS 4096

static struct ring {
  int fd; // 0: free
  uint32_t entries, tail, pending, completions, head;
  uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  struct iovec *vectors; // of the entries that are not submitted yet
  uint32_t vectors_used;
  void *shared;
  size_t shared_size;
} rings[MAX_RINGS];

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

static void release_ring(struct ring *ring) {
  if (ring->shared) munmap(ring->shared, ring->shared_size);
  if (ring->sqes) munmap(ring->sqes, ring->entries * sizeof *ring->sqes);
  if (ring->vectors) munmap(ring->vectors, RING_VECTORS * sizeof *ring->vectors);
  close(ring->fd);
  *ring = (struct ring){0};
}

static void *ring_memory(int fd, size_t size, uint64_t what) {
  int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
  void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)what);
  return at == MAP_FAILED ? NULL : at;
}

// Makes ring `id` over `file`. out: its descriptor, its entries, its completion entries.
EXPORT int sp_uring_create(uint32_t id, uint32_t entries, int file, uint32_t *out) {
  if (id >= MAX_RINGS || rings[id].fd) return -EINVAL;
  struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP};
  int fd = (int)syscall(SYS_io_uring_setup, entries, &p);
  if (fd < 0) return -errno;
  struct ring *ring = &rings[id];
  *ring = (struct ring){.fd = fd, .entries = p.sq_entries, .completions = p.cq_entries};
  int error = -ENOSYS;
  if ((p.features & IORING_FEAT_SINGLE_MMAP) && (p.features & IORING_FEAT_SUBMIT_STABLE)) {
    error = restrict_ring(fd, file);
  }
  if (error) {
    release_ring(ring);
    return error;
  }
  size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
  size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  ring->shared_size = sq_size > cq_size ? sq_size : cq_size;
  ring->shared = ring_memory(fd, ring->shared_size, IORING_OFF_SQ_RING);
  ring->sqes = ring_memory(fd, p.sq_entries * sizeof *ring->sqes, IORING_OFF_SQES);
  ring->vectors = ring_memory(-1, RING_VECTORS * sizeof *ring->vectors, 0);
  if (!ring->shared || !ring->sqes || !ring->vectors) {
    release_ring(ring);
    return -ENOMEM;
  }
  uint8_t *base = ring->shared;
  ring->sq_head = (uint32_t *)(void *)(base + p.sq_off.head);
  ring->sq_tail = (uint32_t *)(void *)(base + p.sq_off.tail);
  ring->cq_head = (uint32_t *)(void *)(base + p.cq_off.head);
  ring->cq_tail = (uint32_t *)(void *)(base + p.cq_off.tail);
  ring->cqes = (struct io_uring_cqe *)(void *)(base + p.cq_off.cqes);
  uint32_t *array = (uint32_t *)(void *)(base + p.sq_off.array);
  for (uint32_t i = 0; i < p.sq_entries; i++) array[i] = i;
  out[0] = (uint32_t)fd;
  out[1] = p.sq_entries;
  out[2] = p.cq_entries;
  return 0;
}

static struct ring *ring_of(uint32_t id) { return id < MAX_RINGS && rings[id].fd ? &rings[id] : NULL; }

EXPORT int sp_uring_destroy(uint32_t id) {
  struct ring *ring = ring_of(id);
  if (!ring) return -EINVAL;
  release_ring(ring);
  return 0;
}

// The next free entry, or NULL when the kernel has not taken the oldest yet.
static struct io_uring_sqe *next_entry(struct ring *ring, uint8_t operation, double file_offset, double user_data) {
  if (ring->tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) >= ring->entries) return NULL;
  struct io_uring_sqe *sqe = &ring->sqes[ring->tail & (ring->entries - 1)];
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = operation;
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->off = (uint64_t)file_offset;
  sqe->user_data = (uint64_t)user_data;
  return sqe;
}

static int queued(struct ring *ring) {
  __atomic_store_n(ring->sq_tail, ++ring->tail, __ATOMIC_RELEASE);
  ring->pending++;
  return 0;
}

// Queues a read (write = 0) or a write between the file and one range of the window.
EXPORT int sp_uring_transfer(uint32_t id, int write, double offset, double length, double file_offset, double user_data) {
  struct ring *ring = ring_of(id);
  if (!ring) return -EINVAL;
  uint8_t *address = in_window(offset, length);
  if (!address || length > 0x7ffff000 || !(file_offset >= 0)) return -EFAULT;
  struct io_uring_sqe *sqe = next_entry(ring, write ? IORING_OP_WRITE : IORING_OP_READ, file_offset, user_data);
  if (!sqe) return -EBUSY;
  sqe->addr = (uintptr_t)address;
  sqe->len = (uint32_t)length;
  return queued(ring);
}

// The same with a vector; the kernel copies the addresses when they are submitted.
EXPORT int sp_uring_vector(uint32_t id, int write, double vector, uint32_t count, double file_offset, double user_data) {
  struct ring *ring = ring_of(id);
  if (!ring) return -EINVAL;
  if (count > RING_VECTORS - ring->vectors_used) return -EBUSY;
  struct iovec *iov = ring->vectors + ring->vectors_used;
  int bad = file_offset >= 0 ? load_vector(iov, vector, count) : -EFAULT;
  if (bad) return bad;
  struct io_uring_sqe *sqe = next_entry(ring, write ? IORING_OP_WRITEV : IORING_OP_READV, file_offset, user_data);
  if (!sqe) return -EBUSY;
  ring->vectors_used += count;
  sqe->addr = (uintptr_t)iov;
  sqe->len = count;
  return queued(ring);
}

// Queues an fdatasync of the whole file.
EXPORT int sp_uring_sync(uint32_t id, double user_data) {
  struct ring *ring = ring_of(id);
  if (!ring) return -EINVAL;
  struct io_uring_sqe *sqe = next_entry(ring, IORING_OP_FSYNC, 0, user_data);
  if (!sqe) return -EBUSY;
  sqe->fsync_flags = IORING_FSYNC_DATASYNC;
  return queued(ring);
}

// Hands what is queued to the kernel; waits for `complete` completions. Returns how many it took.
EXPORT int sp_uring_submit(uint32_t id, uint32_t complete) {
  struct ring *ring = ring_of(id);
  if (!ring) return -EINVAL;
  unsigned flags = complete ? IORING_ENTER_GETEVENTS : 0;
  int n = result(syscall(SYS_io_uring_enter, ring->fd, ring->pending, complete, flags, NULL, 0));
  if (n < 0) return n;
  ring->pending -= (uint32_t)n;
  if (!ring->pending) ring->vectors_used = 0;
  return n;
}

// Moves up to `capacity` completions to the window, 16 bytes each: user data, result, zero. No system
// call. Returns how many.
EXPORT int sp_uring_collect(uint32_t id, double offset, uint32_t capacity) {
  struct ring *ring = ring_of(id);
  if (!ring) return -EINVAL;
  struct io_uring_cqe *out = (void *)in_window(offset, (double)capacity * sizeof *out);
  if (!out || (uint64_t)offset % 8) return -EFAULT;
  uint32_t n = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) - ring->head;
  if (n > capacity) n = capacity;
  for (uint32_t i = 0; i < n; i++) out[i] = ring->cqes[(ring->head + i) & (ring->completions - 1)];
  ring->head += n;
  if (n) __atomic_store_n(ring->cq_head, ring->head, __ATOMIC_RELEASE);
  return (int)n;
}

// Whether there are completions. No system call.
EXPORT int sp_uring_has_completions(uint32_t id) {
  struct ring *ring = ring_of(id);
  return ring && __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) != ring->head;
}
