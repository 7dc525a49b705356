// The native half of src/os: what libc alone cannot do for a caller that is not C.
//
// Rules of this file. A function returns its result, or -errno: reading errno in a second foreign
// call could see the value of another call. Arguments are i32, u32 and f64 (exact below 2^53), which
// the runtime passes without allocating; only small scratch comes as a buffer. Memory of the caller
// is named by its offset in the window, checked here, so that no number that a script computes
// becomes an address elsewhere.
//
// This part is what a device worker may call: descriptors that it holds, and its window. monitor.c
// adds what only the monitor may do; a worker does not load those symbols (src/os/symbols.ts).

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/memfd.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define PAGE 4096
#define MAX_VECTOR 1024 // IOV_MAX of Linux
#define MAX_DESCRIPTORS 253 // SCM_MAX_FD of Linux

static int result(long value) { return value < 0 ? -errno : (int)value; }

// ---- The window: one reservation per process, named by offsets ------------------------------

static uint8_t *window_base;
static double window_size;

// The address of a range of the window, or NULL when it is not wholly inside. NaN is outside.
static uint8_t *in_window(double offset, double length) {
  if (!(offset >= 0 && length >= 0 && offset + length <= window_size)) return NULL;
  return window_base + (uint64_t)offset;
}

static uint8_t *pages_in_window(double offset, double length) {
  uint8_t *address = in_window(offset, length);
  if (!address || length == 0) return NULL;
  if ((uint64_t)offset % PAGE || (uint64_t)length % PAGE) return NULL;
  return address;
}

// mmap returns a pointer, which is an object to the runtime and needs a permission that workers
// give up; the window is reserved once and is a number from then on.
EXPORT double sp_window_reserve(double size) {
  if (window_base) return -EALREADY;
  if (!(size >= PAGE && size < 9e15) || (uint64_t)size % PAGE) return -EINVAL;
  void *base = mmap(NULL, (size_t)size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return -errno;
  window_size = size;
  window_base = base;
  return (double)(uintptr_t)base;
}

// mmap would accept any address with MAP_FIXED and overwrite the heap; this one stays in the window
// and never makes anything executable.
EXPORT int sp_window_map(double offset, double length, int fd, double fd_offset, int write, int shared) {
  uint8_t *address = pages_in_window(offset, length);
  if (!address || !(fd_offset >= 0 && fd_offset < 9e15)) return -EINVAL;
  int protection = write ? PROT_READ | PROT_WRITE : PROT_READ;
  int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE);
  void *at = mmap(address, (size_t)length, protection, flags, fd, (off_t)fd_offset);
  return at == MAP_FAILED ? -errno : 0;
}

// As above: private zeroed memory.
EXPORT int sp_window_anonymous(double offset, double length) {
  uint8_t *address = pages_in_window(offset, length);
  if (!address) return -EINVAL;
  int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
  void *at = mmap(address, (size_t)length, PROT_READ | PROT_WRITE, flags, -1, 0);
  return at == MAP_FAILED ? -errno : 0;
}

// munmap would leave a hole that the next mmap of anyone may fill; this goes back to PROT_NONE.
EXPORT int sp_window_unmap(double offset, double length) {
  uint8_t *address = pages_in_window(offset, length);
  if (!address) return -EINVAL;
  int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *at = mmap(address, (size_t)length, PROT_NONE, flags, -1, 0);
  return at == MAP_FAILED ? -errno : 0;
}

// ---- Reading and writing between descriptors and the window ---------------------------------
// libc takes addresses; these take offsets in the window. All return at most 0x7ffff000.

EXPORT int sp_pread(int fd, double offset, double length, double file_offset) {
  uint8_t *address = in_window(offset, length);
  if (!address) return -EFAULT;
  return result(pread(fd, address, (size_t)length, (off_t)file_offset));
}

EXPORT int sp_pwrite(int fd, double offset, double length, double file_offset) {
  uint8_t *address = in_window(offset, length);
  if (!address) return -EFAULT;
  return result(pwrite(fd, address, (size_t)length, (off_t)file_offset));
}

EXPORT int sp_read(int fd, double offset, double length) {
  uint8_t *address = in_window(offset, length);
  if (!address) return -EFAULT;
  return result(read(fd, address, (size_t)length));
}

EXPORT int sp_write(int fd, double offset, double length) {
  uint8_t *address = in_window(offset, length);
  if (!address) return -EFAULT;
  return result(write(fd, address, (size_t)length));
}

// Entries as the script keeps them in the window: an offset and a length, not an address.
struct entry {
  uint64_t offset, length;
};

// Copies entries while checking them, so that a change in between cannot slip past the check.
static int load_vector(struct iovec *out, double vector, uint32_t count) {
  if (count > MAX_VECTOR) return -EINVAL;
  const volatile struct entry *entries = (void *)in_window(vector, (double)count * sizeof(struct entry));
  if (!entries || (uint64_t)vector % 8) return -EFAULT;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t offset = entries[i].offset, length = entries[i].length, size = (uint64_t)window_size;
    if (offset > size || length > size - offset) return -EFAULT;
    out[i] = (struct iovec){window_base + offset, length};
  }
  return 0;
}

EXPORT int sp_preadv(int fd, double vector, uint32_t count, double file_offset) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, count);
  return bad ? bad : result(preadv(fd, iov, (int)count, (off_t)file_offset));
}

EXPORT int sp_pwritev(int fd, double vector, uint32_t count, double file_offset) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, count);
  return bad ? bad : result(pwritev(fd, iov, (int)count, (off_t)file_offset));
}

EXPORT int sp_readv(int fd, double vector, uint32_t count) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, count);
  return bad ? bad : result(readv(fd, iov, (int)count));
}

EXPORT int sp_writev(int fd, double vector, uint32_t count) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, count);
  return bad ? bad : result(writev(fd, iov, (int)count));
}

// Whoever shares an open file can make it blocking again at any time. Not every kind of file knows RWF_NOWAIT.
static int stay_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -1;
  return flags & O_NONBLOCK ? 0 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

EXPORT int sp_readv_now(int fd, double vector, uint32_t count) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, count);
  if (bad) return bad;
  ssize_t n = preadv2(fd, iov, (int)count, -1, RWF_NOWAIT);
  if (n >= 0 || errno != EOPNOTSUPP) return result(n);
  return stay_nonblocking(fd) ? -errno : result(readv(fd, iov, (int)count));
}

EXPORT int sp_writev_now(int fd, double vector, uint32_t count) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, count);
  if (bad) return bad;
  ssize_t n = pwritev2(fd, iov, (int)count, -1, RWF_NOWAIT);
  if (n >= 0 || errno != EOPNOTSUPP) return result(n);
  return stay_nonblocking(fd) ? -errno : result(writev(fd, iov, (int)count));
}

// Small messages that are not in the window (a log line, a reply): a buffer of the runtime.
EXPORT int sp_write_buffer(int fd, const uint8_t *bytes, uint32_t length) {
  return result(write(fd, bytes, length));
}

EXPORT int sp_read_buffer(int fd, uint8_t *bytes, uint32_t length) {
  return result(read(fd, bytes, length));
}

// errno comes back in the result.
EXPORT int sp_fdatasync(int fd) { return result(fdatasync(fd)); }

EXPORT int sp_fallocate(int fd, int mode, double offset, double length) {
  return result(fallocate(fd, mode, (off_t)offset, (off_t)length));
}

EXPORT int sp_truncate(int fd, double length) { return result(ftruncate(fd, (off_t)length)); }

// ioctl would be a general system call; a worker gets the two that a disk needs.
EXPORT int sp_block_range(int fd, int zero, double offset, double length) {
  if (!(offset >= 0 && length >= 0)) return -EINVAL;
  uint64_t range[2] = {(uint64_t)offset, (uint64_t)length};
  return result(ioctl(fd, zero ? BLKZEROOUT : BLKDISCARD, range));
}

// ---- Network --------------------------------------------------------------------------------

// ioctl again: a worker gets the three that a queue of a tap needs. Its flags, IFF_*; -EPROTO when its packets have
// other headers than virtio_net_hdr of version 1.
EXPORT int sp_tap_flags(int fd) {
  struct ifreq request = {0};
  int header = 0;
  if (ioctl(fd, TUNGETIFF, &request) || ioctl(fd, TUNGETVNETHDRSZ, &header)) return -errno;
  return header == 12 ? (uint16_t)request.ifr_flags : -EPROTO;
}

// What packets may leave to whoever reads them: TUN_F_*.
EXPORT int sp_tap_offload(int fd, uint32_t offloads) { return result(ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads)); }

// Whether the kernel puts packets into this queue.
EXPORT int sp_tap_attach(int fd, int attach) {
  struct ifreq request = {.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};
  return result(ioctl(fd, TUNSETQUEUE, &request));
}

// Part of the Internet checksum (RFC 1071) of some bytes that begin at an even place, in memory order.
static uint64_t sum_words(const uint8_t *bytes, size_t length) {
  uint64_t sum = 0, low = 0, high = 0;
  for (; length >= 16; length -= 16, bytes += 16) {
    uint64_t a, b;
    memcpy(&a, bytes, 8);
    memcpy(&b, bytes + 8, 8);
    low += (uint32_t)a + (b & 0xffffffff);
    high += (a >> 32) + (b >> 32);
  }
  for (; length >= 2; length -= 2, bytes += 2) {
    uint16_t word;
    memcpy(&word, bytes, 2);
    sum += word;
  }
  if (length) sum += *bytes;
  for (sum += (low & 0xffffffff) + (low >> 32) + (high & 0xffffffff) + (high >> 32); sum >> 16;) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

// The Internet checksum of ranges of the window, as it is read from the wire, without the first `skip` bytes. A script
// would need a microsecond for each hundred bytes.
EXPORT int sp_checksum(double vector, uint32_t count, uint32_t skip) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, count);
  if (bad) return bad;
  uint64_t sum = 0;
  int odd = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *bytes = iov[i].iov_base;
    size_t length = iov[i].iov_len;
    size_t left = skip < length ? length - skip : 0;
    bytes += length - left;
    skip -= (uint32_t)(length - left);
    uint64_t part = sum_words(bytes, left);
    sum += odd ? ((part & 0xff) << 8 | part >> 8) : part;
    odd ^= left & 1;
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  uint16_t folded = (uint16_t)~sum;
  return folded >> 8 | (folded & 0xff) << 8;
}

// struct stat is a layout of libc; a block device has its size elsewhere.
// out: size, logical block size, kind (1 regular, 2 block device, 3 socket, 0 other), dev, ino, mode.
EXPORT int sp_stat(int fd, double *out) {
  struct stat st;
  if (fstat(fd, &st)) return -errno;
  uint64_t size = (uint64_t)st.st_size;
  int block = (int)st.st_blksize;
  if (S_ISBLK(st.st_mode) && (ioctl(fd, BLKGETSIZE64, &size) || ioctl(fd, BLKSSZGET, &block))) return -errno;
  out[0] = (double)size;
  out[1] = block;
  out[2] = S_ISREG(st.st_mode) ? 1 : S_ISBLK(st.st_mode) ? 2 : S_ISSOCK(st.st_mode) ? 3 : 0;
  out[3] = (double)st.st_dev;
  out[4] = (double)st.st_ino;
  out[5] = st.st_mode;
  return 0;
}

EXPORT int sp_getrandom(double offset, double length) {
  uint8_t *address = in_window(offset, length);
  if (!address) return -EFAULT;
  return result(getrandom(address, (size_t)length, 0));
}

// ---- Descriptors ----------------------------------------------------------------------------

EXPORT int sp_close(int fd) { return result(close(fd)); }

// fcntl is variadic: its ABI differs from that of a plain function.
EXPORT int sp_dup(int fd) { return result(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

EXPORT int sp_set_cloexec(int fd) { return result(fcntl(fd, F_SETFD, FD_CLOEXEC)); }

EXPORT int sp_set_nonblocking(int fd, int on) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  return result(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

EXPORT int sp_status_flags(int fd) { return result(fcntl(fd, F_GETFL)); }

// In one call, so that nobody sees the memory unsealed. Not executable where the kernel knows how.
EXPORT int sp_memfd(const char *name, double size, int seal) {
  unsigned noexec = 8; // MFD_NOEXEC_SEAL, Linux 6.3
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | noexec);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (ftruncate(fd, (off_t)size) || (seal && fcntl(fd, F_ADD_SEALS, seals))) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

EXPORT int sp_seals(int fd) { return result(fcntl(fd, F_GET_SEALS)); }

EXPORT int sp_add_seals(int fd, int seals) { return result(fcntl(fd, F_ADD_SEALS, seals)); }

EXPORT int sp_pipe(int *ends) { return result(pipe2(ends, O_CLOEXEC)); }

// Whether it is a stream socket of Unix, and not one that listens.
static int is_stream(int fd) {
  int domain = 0, type = 0, listens = 1;
  socklen_t size = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size)) return -errno;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size)) return -errno;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size)) return -errno;
  return domain == AF_UNIX && type == SOCK_STREAM && !listens;
}

// What a descriptor that a peer sent is: 1 memory, 2 a Unix stream socket, 3 a pipe, 4 an event, 0 anything else. The
// kind of an anonymous file is told by nothing but the name of its link.
EXPORT int sp_kind(int fd) {
  struct stat st;
  if (fstat(fd, &st)) return -errno;
  if (S_ISREG(st.st_mode)) return fcntl(fd, F_GET_SEALS) >= 0 ? 1 : 0;
  if (S_ISFIFO(st.st_mode)) return 3;
  if (S_ISSOCK(st.st_mode)) {
    int stream = is_stream(fd);
    return stream < 0 ? stream : 2 * stream;
  }
  static const char event[] = "anon_inode:[eventfd]";
  char path[32], name[sizeof event];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, name, sizeof name);
  return length == sizeof event - 1 && !memcmp(name, event, sizeof event - 1) ? 4 : 0;
}

// ---- Events ---------------------------------------------------------------------------------

EXPORT int sp_eventfd(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

EXPORT int sp_event_signal(int fd) {
  uint64_t one = 1;
  return result(write(fd, &one, sizeof one)) < 0 ? -errno : 0;
}

// The peer of a shared eventfd can make it blocking again; RWF_NOWAIT does not care.
EXPORT double sp_event_drain(int fd) {
  uint64_t count = 0;
  struct iovec iov = {&count, sizeof count};
  if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0) return -errno;
  return (double)count;
}

EXPORT int sp_epoll_create(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

// struct epoll_event is packed, on this architecture only.
EXPORT int sp_epoll_control(int epoll, int operation, int fd, uint32_t events, uint32_t tag) {
  struct epoll_event event = {.events = events, .data = {.u64 = tag}};
  return result(epoll_ctl(epoll, operation, fd, &event));
}

// The events stay here, per thread: the caller asks for them by index without a buffer.
static __thread struct epoll_event ready[64];

EXPORT int sp_epoll_wait(int epoll, int timeout) { return result(epoll_wait(epoll, ready, 64, timeout)); }
EXPORT uint32_t sp_epoll_tag(uint32_t i) { return i < 64 ? ready[i].data.u32 : 0; }
EXPORT uint32_t sp_epoll_events(uint32_t i) { return i < 64 ? ready[i].events : 0; }

// For the reactor, which waits on a pool thread and looks at the events on another: pairs tag, events.
EXPORT int sp_epoll_collect(int epoll, uint32_t *out, uint32_t capacity, int timeout) {
  struct epoll_event events[64];
  int n = epoll_wait(epoll, events, capacity < 64 ? (int)capacity : 64, timeout);
  if (n < 0) return -errno;
  for (int i = 0; i < n; i++) {
    out[2 * i] = events[i].data.u32;
    out[2 * i + 1] = events[i].events;
  }
  return n;
}

EXPORT int sp_poll_one(int fd, int events, int timeout) {
  struct pollfd p = {.fd = fd, .events = (short)events};
  int n = poll(&p, 1, timeout);
  return n < 0 ? -errno : n == 0 ? 0 : p.revents;
}

// ---- Messages with descriptors --------------------------------------------------------------
// Control messages are built by macros of libc.

union control {
  char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
  struct cmsghdr align;
};

static int send_pieces(int fd, struct iovec *iov, size_t pieces, const int *fds, uint32_t count, int flags) {
  union control control;
  struct msghdr message = {.msg_iov = iov, .msg_iovlen = pieces};
  if (count > MAX_DESCRIPTORS) return -EINVAL;
  if (count) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  return result(sendmsg(fd, &message, flags | MSG_NOSIGNAL));
}

EXPORT int sp_send(int fd, const uint8_t *bytes, uint32_t length, const int *fds, uint32_t count, int flags) {
  struct iovec iov = {(void *)bytes, length};
  return send_pieces(fd, &iov, 1, fds, count, flags);
}

// What a stream of Unix has sent and its peer has not read, in bytes of the kernel's memory: 0 when it has all.
EXPORT int sp_unread(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) ? -errno : bytes;
}

// The same as sp_send from ranges of the window.
EXPORT int sp_send_vector(int fd, double vector, uint32_t pieces, const int *fds, uint32_t count, int flags) {
  struct iovec iov[MAX_VECTOR];
  int bad = load_vector(iov, vector, pieces);
  return bad ? bad : send_pieces(fd, iov, pieces, fds, count, flags);
}

// fds: room for `capacity`; info: number of descriptors, then 1 when data or descriptors were cut.
// The kernel may always deliver as many as a sender can send, so none is lost without being
// seen: those that the caller has no room for are closed here.
static int receive_pieces(int fd, struct iovec *iov, size_t pieces, int *fds, uint32_t capacity, uint32_t *info, int flags) {
  union control control;
  struct msghdr message = {
      .msg_iov = iov, .msg_iovlen = pieces, .msg_control = control.bytes, .msg_controllen = sizeof control};
  info[0] = info[1] = 0;
  ssize_t n = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
  if (n < 0) return -errno;
  info[1] = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? 1 : 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    uint32_t count = (uint32_t)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (uint32_t i = 0; i < count; i++) {
      int received;
      memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
      if (info[0] < capacity) {
        fds[info[0]++] = received;
      } else {
        close(received);
        info[1] = 1;
      }
    }
  }
  return (int)n;
}

EXPORT int sp_receive(int fd, uint8_t *bytes, uint32_t length, int *fds, uint32_t capacity, uint32_t *info, int flags) {
  struct iovec iov = {bytes, length};
  return receive_pieces(fd, &iov, 1, fds, capacity, info, flags);
}

// A look at whole messages of a stream of Unix: those that fit into the vector, up to and with the first
// that carries descriptors. Behind its last piece lies a page that nothing can be copied to, where the kernel
// stops, before it looks at the descriptors of what it cannot copy. -EFAULT: not even the first one fits.
// The vector has room for one more piece.
static ssize_t peek_whole(int fd, struct iovec *iov, size_t pieces, int flags, int *carries) {
  iov[pieces] = (struct iovec){NULL, 1 << 30};
  struct msghdr message = {.msg_iov = iov, .msg_iovlen = pieces + 1};
  ssize_t n = recvmsg(fd, &message, flags | MSG_PEEK);
  // Without room for descriptors none is made, and the flag tells of them.
  *carries = message.msg_flags & MSG_CTRUNC;
  return n < 0 ? -errno : n;
}

// Cuts a vector to so many bytes. Returns how many pieces it has then.
static uint32_t cut(struct iovec *iov, uint32_t pieces, size_t bytes) {
  for (uint32_t i = 0; i < pieces; i++) {
    if (iov[i].iov_len >= bytes) {
      iov[i].iov_len = bytes;
      return bytes ? i + 1 : i;
    }
    bytes -= iov[i].iov_len;
  }
  return pieces;
}

// How many bytes to receive, so that descriptors come with the first byte of what they were sent with: the kernel
// adds them to bytes that were sent before, and does not say where these end. 0 at the end, or -EAGAIN; -EFAULT for
// all that there is room for. Cuts the vector, which has room for one more piece.
static ssize_t whole_messages(int fd, struct iovec *iov, uint32_t pieces, int flags) {
  int carries;
  ssize_t whole = peek_whole(fd, iov, pieces, flags, &carries);
  if (whole <= 0 || !carries) return whole;
  ssize_t before = peek_whole(fd, iov, cut(iov, pieces, (size_t)whole - 1), flags, &carries);
  return before > 0 ? before : whole;
}

EXPORT int sp_piece(int fd, uint8_t *bytes, uint32_t length, int flags) {
  struct iovec iov[2] = {{bytes, length}};
  ssize_t n = whole_messages(fd, iov, 1, flags);
  return n == -EFAULT ? (int)length : (int)n;
}

// Both in one, into ranges of the window, without waiting. See sp_receive.
EXPORT int sp_receive_piece(int fd, double vector, uint32_t pieces, int *fds, uint32_t capacity, uint32_t *info) {
  struct iovec iov[MAX_VECTOR + 1];
  int bad = load_vector(iov, vector, pieces);
  if (bad) return bad;
  info[0] = info[1] = 0;
  ssize_t n = whole_messages(fd, iov, pieces, MSG_DONTWAIT);
  if (n <= 0 && n != -EFAULT) return (int)n;
  load_vector(iov, vector, pieces);
  if (n > 0) pieces = cut(iov, pieces, (size_t)n);
  return receive_pieces(fd, iov, pieces, fds, capacity, info, MSG_DONTWAIT);
}

// SEND and RECV of a virtual descriptor in a guest (virtwl.h, where they are declared the wrong way round): `buffer` is a
// struct virtwl_ioctl_txn, 28 descriptors and the length of the data that follows.
EXPORT int sp_wl_transact(int fd, int receive, uint8_t *buffer, uint32_t size) {
  uint32_t head[29];
  if (size < sizeof head) return -EINVAL;
  memcpy(head, buffer, sizeof head);
  if (head[28] > size - sizeof head) return -EINVAL;
  return result(ioctl(fd, receive ? _IOW('w', 2, int[29]) : _IOR('w', 1, int[29]), buffer));
}

// VIRTWL_IOCTL_DOORBELL
EXPORT int sp_wl_doorbell(int fd) { return result(ioctl(fd, _IO('w', 16))); }

// Memory that a guest shares with its host: NEW with VIRTWL_IOCTL_NEW_ALLOC.
EXPORT int sp_wl_memory(int device, double size) {
  struct {
    uint32_t type;
    int fd;
    uint32_t flags, size, rest[8];
  } request = {.type = 1, .fd = -1, .size = (uint32_t)size};
  if (!(size > 0 && size < 4294967296.0)) return -EINVAL;
  if (ioctl(device, _IOWR('w', 0, request), &request)) return -errno;
  return request.fd;
}

EXPORT int sp_accept(int fd) { return result(accept4(fd, NULL, NULL, SOCK_CLOEXEC)); }

// Ends one direction of a stream: for the peer to read (SHUT_WR), or to write (SHUT_RD).
EXPORT int sp_shutdown(int fd, int how) { return result(shutdown(fd, how)); }

// ---- Locking the process down ---------------------------------------------------------------

// prctl is variadic. Without this another process of the same user reads our memory by /proc.
EXPORT int sp_not_dumpable(void) { return result(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }

// Headers of Debian 12 do not have it yet (linux/prctl.h): PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN.
EXPORT int sp_no_new_code(void) {
  int r = result(prctl(65, 1, 0, 0, 0));
  return r == -EINVAL ? 0 : r;
}

#include "filter.c"
#include "signal.c"
#include "uring.c"

#include "monitor.c"
#include "restrict.c"
