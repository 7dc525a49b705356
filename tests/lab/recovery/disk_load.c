// Writes spans of blocks of a disk at random and reads them back, past the page cache, one request per thread at a time,
// until SIGTERM; then it reads all of them once more. Meanwhile one more thread flushes the disk's cache again and again.
//
//   disk_load DISK THREADS SEED
//
// Each thread has blocks of its own. The first and the last word of each sector tell its place and how manieth write that
// was: what was lost, written elsewhere, or written again too late is seen, and the processor has little to do, so that
// it is the disk that is waited for. Any error ends it with status 1 and a message.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, BLOCKS = 4096, SECTOR = 512, MOST = 8, THREADS = 64, READ_EVERY = 4 };

struct thread {
  pthread_t id;
  int first, count;
  uint64_t random;
};

static int disk;
// The write that each block holds; 0: none of ours.
static uint64_t held[BLOCKS];
static atomic_ullong writes, reads, flushes, slowest;
static atomic_int ending;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
  char text[200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  printf("load: failed: %s\n", text);
  fflush(stdout);
  _exit(1);
}

static uint64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000ull + time.tv_nsec / 1000000;
}

static uint64_t word(int block, uint64_t number, int i) {
  return (number << 24 | (uint64_t)block << 9 | (uint64_t)i) * 0x9e3779b97f4a7c15;
}

// The words of a block that tell something: 0, 63, 64, 127, ...
static int telling(int i) { return i + (i % (SECTOR / 8) ? 1 : SECTOR / 8 - 1); }

static void stamp(uint64_t *data, int block, uint64_t number) {
  for (int i = 0; i < BLOCK / 8; i = telling(i)) data[i] = word(block, number, i);
}

static uint64_t next(struct thread *thread) {
  uint64_t x = thread->random;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return thread->random = x;
}

static void took_since(uint64_t begun) {
  uint64_t took = now_ms() - begun, most = slowest;
  while (took > most && !atomic_compare_exchange_weak(&slowest, &most, took)) {}
}

static void transfer(int write, uint64_t *data, int block, int count) {
  uint64_t begun = now_ms();
  size_t size = (size_t)count * BLOCK;
  off_t at = (off_t)block * BLOCK;
  ssize_t done = write ? pwrite(disk, data, size, at) : pread(disk, data, size, at);
  if (done != (ssize_t)size)
    fail("%s of %d blocks at %d: %s", write ? "write" : "read", count, block, done < 0 ? strerror(errno) : "cut short");
  took_since(begun);
}

static void *flush(void *argument) {
  while (!ending) {
    uint64_t begun = now_ms();
    if (fsync(disk)) fail("flush: %s", strerror(errno));
    took_since(begun);
    flushes++;
  }
  return argument;
}

static void check(const uint64_t *data, int block, int count) {
  for (int k = 0; k < count; k++, block++, data += BLOCK / 8) {
    if (!held[block]) continue;
    for (int i = 0; i < BLOCK / 8; i = telling(i))
      if (data[i] != word(block, held[block], i))
        fail("word %d of block %d is not that of write %llu", i, block, (unsigned long long)held[block]);
  }
}

static void *work(void *argument) {
  struct thread *thread = argument;
  uint64_t *data = aligned_alloc(BLOCK, MOST * BLOCK), number = 0;
  if (!data) fail("no memory");
  for (unsigned turn = 0; !ending; turn++) {
    int count = 1 + next(thread) % MOST;
    int block = thread->first + next(thread) % (thread->count - count + 1);
    if (turn % READ_EVERY == READ_EVERY - 1) {
      transfer(0, data, block, count);
      check(data, block, count);
      reads++;
      continue;
    }
    number++;
    for (int k = 0; k < count; k++) stamp(data + k * BLOCK / 8, block + k, number);
    transfer(1, data, block, count);
    for (int k = 0; k < count; k++) held[block + k] = number;
    writes++;
  }
  free(data);
  return NULL;
}

int main(int count, char **arguments) {
  static struct thread threads[THREADS];
  int number = count == 4 ? atoi(arguments[2]) : 0;
  if (number < 1 || number > THREADS) {
    fprintf(stderr, "usage: disk_load DISK THREADS SEED\n");
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  disk = open(arguments[1], O_RDWR | O_DIRECT | O_CLOEXEC);
  if (disk < 0) fail("cannot open %s: %s", arguments[1], strerror(errno));
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigprocmask(SIG_BLOCK, &end, NULL);
  for (int i = 0; i < number; i++) {
    struct thread *thread = &threads[i];
    thread->first = BLOCKS / number * i;
    thread->count = BLOCKS / number;
    thread->random = (uint64_t)atoll(arguments[3]) * THREADS + i + 1;
    if (pthread_create(&thread->id, NULL, work, thread)) fail("no thread");
  }
  pthread_t flusher;
  if (pthread_create(&flusher, NULL, flush, NULL)) fail("no thread");
  printf("load: begins\n");
  int signal;
  sigwait(&end, &signal);
  ending = 1;
  for (int i = 0; i < number; i++) pthread_join(threads[i].id, NULL);
  pthread_join(flusher, NULL);
  enum { SPAN = 64 };
  uint64_t *data = aligned_alloc(BLOCK, SPAN * BLOCK);
  if (!data) fail("no memory");
  for (int block = 0; block < BLOCKS; block += SPAN) {
    transfer(0, data, block, SPAN);
    check(data, block, SPAN);
  }
  printf("load: ok, %llu writes, %llu reads, %llu flushes, the slowest took %llu ms\n", writes, reads, flushes, slowest);
  return 0;
}
