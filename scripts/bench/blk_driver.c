// A small vhost-user frontend with a virtio-blk driver, to measure and check a backend.
//
//   blk_driver --create FILE --size BYTES       makes (or finds) an image of known content
//   blk_driver --socket PATH --job JOB ...      runs jobs against a listening backend
//     JOB = NAME:rand|seq:BLOCK:DEPTH:SECONDS   reads of BLOCK bytes, DEPTH in flight
//     --spin-us N   how long it watches the used ring before it sleeps on the call eventfd (200)
//     --indirect    one indirect descriptor per request, as Linux does when it is offered
//     --warm-up S   seconds of each job that do not count (0.5)
//
// One queue of 256, EVENT_IDX when offered. Every word at 8-byte offset o of the image is mix(o), so a
// read of the wrong place, a stale buffer or a read that never happened is seen: the first and last
// word of each 512 bytes are checked in every request, all words in every 64th. The process prints a
// line of JSON per job. Any error ends it with status 1 and a message.
//
// Protocol: QEMU's docs/interop/vhost-user.rst. Device: virtio 1.2 sections 2.7 and 5.2.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { QUEUE = 256, MAX_DEPTH = 64, SECTOR = 512, FULL_CHECK_EVERY = 64 };

// Guest memory: rings, then headers and indirect tables, then data buffers.
enum {
  MEMORY = 32 << 20,
  GUEST_BASE = 1 << 20,  // guest address of its first byte
  DESC_AT = 0,
  AVAIL_AT = 0x2000,
  USED_AT = 0x3000,
  HEADERS_AT = 0x10000,   // 64 bytes each: header, status
  INDIRECT_AT = 0x20000,  // 64 bytes each: three descriptors
  DATA_AT = 0x200000,
};

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
struct avail { uint16_t flags, index, ring[QUEUE], used_event; };
struct used_element { uint32_t id, length; };
struct used { uint16_t flags, index; struct used_element ring[QUEUE]; uint16_t avail_event; };
struct header { uint32_t type, reserved; uint64_t sector; uint8_t status; };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

static const uint64_t F_INDIRECT = 1ull << 28, F_EVENT_IDX = 1ull << 29, F_PROTOCOL = 1ull << 30, F_VERSION_1 = 1ull << 32;
static const uint64_t P_REPLY_ACK = 1ull << 3, P_CONFIG = 1ull << 9;

static uint8_t *memory;
static volatile struct descriptor *descriptors;
static volatile struct avail *avail;
static volatile struct used *used;
static int channel, kick_fd, call_fd, memory_fd;
static uint64_t features, protocol, capacity;
static int indirect;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("blk_driver: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

// The finalizer of splitmix64: a known word for every place.
static inline uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// ---- image ----

static void create_image(const char *path, uint64_t size) {
  enum { CHUNK = 1 << 20 };
  uint64_t *buffer = aligned_alloc(4096, CHUNK), word;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat stat;
  if (fd < 0 || fstat(fd, &stat)) fail("cannot open %s: %s", path, strerror(errno));
  // The last word is written last: a file that ends well is whole.
  if ((uint64_t)stat.st_size == size && pread(fd, &word, 8, size - 8) == 8 && word == mix(size - 8)) return;
  for (uint64_t at = 0; at < size; at += CHUNK) {
    uint64_t length = size - at < CHUNK ? size - at : CHUNK;
    for (uint64_t i = 0; i < length / 8; i++) buffer[i] = mix(at + i * 8);
    if (pwrite(fd, buffer, length, at) != (ssize_t)length) fail("cannot write %s: %s", path, strerror(errno));
  }
  if (ftruncate(fd, size) || fsync(fd) || close(fd)) fail("cannot finish %s: %s", path, strerror(errno));
}

// ---- vhost-user ----

struct message { uint32_t request, flags, size; uint8_t payload[512]; } __attribute__((packed));

static void send_message(uint32_t request, uint32_t flags, const void *payload, uint32_t size, int fd) {
  struct message message = {request, 1 | flags, size, {0}};
  union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = {0};
  struct iovec iov = {&message, 12 + size};
  struct msghdr packet = {.msg_iov = &iov, .msg_iovlen = 1};
  if (size) memcpy(message.payload, payload, size);
  if (fd >= 0) {
    packet.msg_control = &control;
    packet.msg_controllen = sizeof control;
    control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  }
  if (sendmsg(channel, &packet, MSG_NOSIGNAL) != (ssize_t)(12 + size)) fail("message %u: %s", request, strerror(errno));
}

static void receive_reply(uint32_t request, void *payload, uint32_t size) {
  uint32_t header[3];
  struct pollfd wait = {channel, POLLIN, 0};
  if (poll(&wait, 1, 5000) != 1) fail("message %u was not answered within 5 s", request);
  if (recv(channel, header, 12, MSG_WAITALL) != 12) fail("message %u: the backend hung up", request);
  if (header[0] != request || (header[1] & 7) != 5 || header[2] != size)
    fail("message %u was answered by message %u, flags %x, %u bytes", request, header[0], header[1], header[2]);
  if (recv(channel, payload, size, MSG_WAITALL) != (ssize_t)size) fail("message %u: half an answer", request);
}

static uint64_t get(uint32_t request) {
  uint64_t value;
  send_message(request, 0, NULL, 0, -1);
  receive_reply(request, &value, 8);
  return value;
}

static void set(uint32_t request, const void *payload, uint32_t size, int fd) {
  uint64_t status = 0;
  int reply = (protocol & P_REPLY_ACK) != 0;
  send_message(request, reply ? 8 : 0, payload, size, fd);
  if (reply) receive_reply(request, &status, 8);
  if (status) fail("message %u was refused with %llu", request, (unsigned long long)status);
}

static void connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) fail("the path %s is too long", path);
  strcpy(address.sun_path, path);
  channel = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // The backend may still be starting.
  for (int i = 0; connect(channel, (struct sockaddr *)&address, sizeof address); i++) {
    if (i == 500) fail("cannot connect to %s: %s", path, strerror(errno));
    usleep(10000);
  }
}

static void set_up(void) {
  uint64_t offered = get(1), zero = 0;
  send_message(3, 0, NULL, 0, -1);
  if (offered & F_PROTOCOL) {
    uint64_t wanted = get(15) & (P_REPLY_ACK | P_CONFIG);
    send_message(16, 0, &wanted, 8, -1);
    protocol = wanted;
  }
  if (!(protocol & P_CONFIG)) fail("the backend has no config space");
  struct { uint32_t offset, size, flags; uint64_t capacity; uint8_t rest[52]; } __attribute__((packed)) config = {0, 60, 0, 0, {0}};
  send_message(24, 0, &config, sizeof config, -1);
  receive_reply(24, &config, sizeof config);
  capacity = config.capacity * SECTOR;

  features = offered & (F_VERSION_1 | F_EVENT_IDX | F_PROTOCOL | (indirect ? F_INDIRECT : 0));
  if (indirect && !(features & F_INDIRECT)) fail("the backend does not offer INDIRECT_DESC");
  set(2, &features, 8, -1);

  uint64_t base = (uint64_t)(uintptr_t)memory;
  struct { uint32_t count, padding; uint64_t guest, size, user, offset; } table = {1, 0, GUEST_BASE, MEMORY, base, 0};
  set(5, &table, sizeof table, memory_fd);
  struct { uint32_t index, number; } state = {0, QUEUE};
  set(8, &state, sizeof state, -1);
  state.number = 0;
  set(10, &state, sizeof state, -1);
  struct { uint32_t index, flags; uint64_t descriptors, used, avail, log; } address = {0, 0, base + DESC_AT, base + USED_AT, base + AVAIL_AT, 0};
  set(9, &address, sizeof address, -1);
  set(13, &zero, 8, call_fd);
  set(12, &zero, 8, kick_fd);
  if (features & F_PROTOCOL) {
    state.number = 1;
    set(18, &state, sizeof state, -1);
  }
}

// ---- the driver ----

struct job { char name[32]; int sequential; uint32_t block; int depth; double seconds; };

static uint16_t next_avail, last_used;
static uint64_t offsets[MAX_DEPTH], begun[MAX_DEPTH], kicks, calls;

static inline uint8_t *data_of(int slot, uint32_t block) { return memory + DATA_AT + (uint64_t)slot * block; }
static inline struct header *header_of(int slot) { return (struct header *)(memory + HEADERS_AT + slot * 64); }

// Descriptors of a slot: three in the table, or one that points at three.
static void prepare(int slot, uint32_t block) {
  int head = indirect ? slot : slot * 3;
  uint64_t header = GUEST_BASE + HEADERS_AT + slot * 64, data = GUEST_BASE + DATA_AT + (uint64_t)slot * block;
  volatile struct descriptor *chain = descriptors + head;
  int first = head;
  if (indirect) {
    chain = (volatile struct descriptor *)(memory + INDIRECT_AT + slot * 64);
    first = 0;
    descriptors[head] = (struct descriptor){GUEST_BASE + INDIRECT_AT + slot * 64, 48, INDIRECT, 0};
  }
  chain[0] = (struct descriptor){header, 16, NEXT, first + 1};
  chain[1] = (struct descriptor){data, block, NEXT | WRITE, first + 2};
  chain[2] = (struct descriptor){header + offsetof(struct header, status), 1, WRITE, 0};
}

static void queue_read(int slot, uint64_t offset, uint32_t block) {
  struct header *header = header_of(slot);
  header->type = 0;
  header->sector = offset / SECTOR;
  header->status = 0xff;
  *(volatile uint64_t *)data_of(slot, block) = ~mix(offset);
  offsets[slot] = offset;
  begun[slot] = now_ns();
  avail->ring[next_avail % QUEUE] = indirect ? slot : slot * 3;
  // Each request by itself, as a guest's queue_rq does: the backend may begin while we go on.
  __atomic_store_n(&avail->index, ++next_avail, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  int wanted = features & F_EVENT_IDX ? used->avail_event == (uint16_t)(next_avail - 1) : !(used->flags & 1);
  if (!wanted) return;
  kicks++;
  if (eventfd_write(kick_fd, 1)) fail("cannot kick: %s", strerror(errno));
}

static void verify(int slot, uint32_t block, int all) {
  const uint64_t *words = (const uint64_t *)data_of(slot, block);
  uint64_t offset = offsets[slot];
  if (header_of(slot)->status) fail("a read of %u bytes at %llu ended with status %u", block, (unsigned long long)offset, header_of(slot)->status);
  for (uint32_t i = 0; i < block / 8; i++) {
    uint32_t in_sector = i % (SECTOR / 8);
    if (!all && in_sector != 0 && in_sector != SECTOR / 8 - 1) {
      i += SECTOR / 8 - 2 - in_sector;
      continue;
    }
    if (words[i] != mix(offset + i * 8ull)) fail("wrong data in a read of %u bytes at %llu, byte %u", block, (unsigned long long)offset, i * 8);
  }
}

static uint16_t used_index(void) { return __atomic_load_n(&used->index, __ATOMIC_ACQUIRE); }

// Watches the used ring for a while, then sleeps until the backend raises the call eventfd.
static void wait_used(uint64_t spin_ns) {
  uint64_t until = now_ns() + spin_ns;
  for (unsigned i = 0;; i++) {
    if (used_index() != last_used) return;
    __builtin_ia32_pause();
    if ((i & 15) == 15 && now_ns() >= until) break;
  }
  avail->flags = 0;
  avail->used_event = last_used;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  struct pollfd wait = {call_fd, POLLIN, 0};
  while (used_index() == last_used) {
    if (poll(&wait, 1, 10000) != 1) fail("the backend has completed nothing for 10 s");
    eventfd_t count;
    if (!eventfd_read(call_fd, &count)) calls += count;
  }
}

// With EVENT_IDX: an event in the past asks for no signal.
static void want_no_signal(void) {
  if (features & F_EVENT_IDX) avail->used_event = last_used - 1;
  else avail->flags = 1;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void run(const struct job *job, double warm_up, uint64_t spin_ns) {
  enum { MAX_SAMPLES = 1 << 20 };
  uint32_t *samples = malloc(MAX_SAMPLES * sizeof *samples), sampled = 0;
  uint64_t blocks = capacity / job->block, position = 0, random = 88172645463325252ull, checked = 0;
  uint64_t done = 0, in_flight = 0, start = now_ns() + (uint64_t)(warm_up * 1e9), stop = start + (uint64_t)(job->seconds * 1e9);
  uint64_t kicks_before = 0, calls_before = 0;
  int counting = 0;
  if ((uint64_t)job->depth * job->block > MEMORY - DATA_AT || job->depth > MAX_DEPTH || !blocks || job->block % SECTOR) fail("job %s does not fit", job->name);
  for (int slot = 0; slot < job->depth; slot++) prepare(slot, job->block);
  uint64_t now = now_ns();
  want_no_signal();
  for (int slot = 0; slot < job->depth; slot++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    queue_read(slot, (job->sequential ? position++ : random) % blocks * job->block, job->block);
    in_flight++;
  }
  while (in_flight) {
    wait_used(spin_ns);
    uint16_t until = used_index();
    now = now_ns();
    if (!counting && now >= start) {
      counting = 1, start = now, done = sampled = 0;
      kicks_before = kicks, calls_before = calls;
    }
    for (; last_used != until; last_used++) {
      uint32_t head = used->ring[last_used % QUEUE].id;
      uint32_t slot = indirect ? head : head / 3;
      if (slot >= (uint32_t)job->depth || (!indirect && head % 3)) fail("the backend completed descriptor %u, which is no head", head);
      if (used->ring[last_used % QUEUE].length != job->block + 1) fail("a read of %u bytes is said to have written %u", job->block, used->ring[last_used % QUEUE].length);
      verify(slot, job->block, checked++ % FULL_CHECK_EVERY == 0);
      in_flight--;
      if (counting && now < stop) {
        done++;
        if (sampled < MAX_SAMPLES) samples[sampled++] = (uint32_t)(now - begun[slot]);
      }
      if (now >= stop) continue;
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      queue_read(slot, (job->sequential ? position++ : random) % blocks * job->block, job->block);
      in_flight++;
    }
    want_no_signal();
  }
  double seconds = (stop - start) / 1e9;
  qsort(samples, sampled, sizeof *samples, by_value);
  printf("{\"name\":\"%s\",\"iops\":%.1f,\"bytesPerSecond\":%.0f,\"p50us\":%.2f,\"p99us\":%.2f,\"kicksPerRequest\":%.4f,\"signalsPerRequest\":%.4f,\"requests\":%llu}\n",
         job->name, done / seconds, done * (double)job->block / seconds, sampled ? samples[sampled / 2] / 1e3 : 0,
         sampled ? samples[sampled * 99ull / 100] / 1e3 : 0, done ? (kicks - kicks_before) / (double)done : 0,
         done ? (calls - calls_before) / (double)done : 0, (unsigned long long)done);
  fflush(stdout);
  free(samples);
}

static void finish(void) {
  struct { uint32_t index, number; } state = {0, 0};
  send_message(11, 0, &state, sizeof state, -1);
  receive_reply(11, &state, sizeof state);
  if (state.number != next_avail) fail("the backend stands at %u in the ring and not at %u", state.number, next_avail);
}

int main(int argc, char **argv) {
  const char *socket_path = NULL, *create = NULL;
  uint64_t size = 0;
  double warm_up = 0.5, spin_us = 200;
  struct job jobs[16];
  int job_count = 0;
  for (int i = 1; i < argc; i++) {
    const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(option, "--indirect")) { indirect = 1; continue; }
    i++;
    if (!strcmp(option, "--socket")) socket_path = value;
    else if (!strcmp(option, "--create")) create = value;
    else if (!strcmp(option, "--size")) size = strtoull(value, NULL, 10);
    else if (!strcmp(option, "--warm-up")) warm_up = atof(value);
    else if (!strcmp(option, "--spin-us")) spin_us = atof(value);
    else if (!strcmp(option, "--job") && job_count < 16) {
      struct job *job = &jobs[job_count++];
      char kind[8];
      if (sscanf(value, "%31[^:]:%7[^:]:%u:%d:%lf", job->name, kind, &job->block, &job->depth, &job->seconds) != 5) fail("a job is NAME:rand|seq:BLOCK:DEPTH:SECONDS, not %s", value);
      job->sequential = !strcmp(kind, "seq");
    } else fail("unknown option %s", option);
  }
  if (create) { create_image(create, size); return 0; }
  if (!socket_path || !job_count) fail("--socket and --job are needed");
  memory_fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory_fd < 0 || ftruncate(memory_fd, MEMORY) || fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) fail("cannot make guest memory: %s", strerror(errno));
  memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory_fd, 0);
  if (memory == MAP_FAILED) fail("cannot map guest memory: %s", strerror(errno));
  descriptors = (volatile struct descriptor *)(memory + DESC_AT);
  avail = (volatile struct avail *)(memory + AVAIL_AT);
  used = (volatile struct used *)(memory + USED_AT);
  kick_fd = eventfd(0, EFD_CLOEXEC);
  call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  connect_to(socket_path);
  set_up();
  for (int i = 0; i < job_count; i++) run(&jobs[i], warm_up, (uint64_t)(spin_us * 1000));
  finish();
  return 0;
}
