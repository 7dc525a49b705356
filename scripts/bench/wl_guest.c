// The guest's side of `deno task bench wl`: measures a stream to the host.
//
// wl_guest wl NAME | port PATH, then RUNS ROUNDS BYTES: over a context of Virtio Wayland to the host's socket NAME, or over a
// character device. Static. A line "@@begin" goes first, for what else may have been printed there; then in each run
// ROUNDS messages of 64 bytes that the host sends back, BYTES to the host which answers with one, one byte upon which the
// host sends BYTES. At the end a line of JSON with, for each run, microseconds of a round trip and MB/s up and down.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../../src/guest/virtio_wl/virtwl.h"

enum { MESSAGE = 64, PIECE = 32768, MOST_RUNS = 100 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_context(const char *name) {
  struct virtwl_ioctl_new request = {.type = VIRTWL_IOCTL_NEW_CTX_NAMED, .fd = -1};
  int device = open("/dev/wl0", O_RDWR | O_CLOEXEC);
  if (device < 0) fail("/dev/wl0");
  strncpy(request.name, name, sizeof request.name);
  if (ioctl(device, VIRTWL_IOCTL_NEW, &request)) fail(name);
  return request.fd;
}

static int open_port(const char *path) {
  struct termios settings;
  int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) fail(path);
  if (!tcgetattr(fd, &settings)) {
    cfmakeraw(&settings);
    tcsetattr(fd, TCSANOW, &settings);
  }
  return fd;
}

static void await(int fd, short events) {
  struct pollfd one = {.fd = fd, .events = events};
  if (poll(&one, 1, -1) < 0 && errno != EINTR) fail("poll");
}

static void write_all(int fd, const char *data, size_t size) {
  while (size) {
    ssize_t n = write(fd, data, size < PIECE ? size : PIECE);
    if (n < 0 && errno != EAGAIN) fail("write");
    if (n <= 0) {
      await(fd, POLLOUT);
      continue;
    }
    data += n, size -= (size_t)n;
  }
}

static void read_all(int fd, char *data, size_t size) {
  while (size) {
    ssize_t n = read(fd, data, size < PIECE ? size : PIECE);
    if (n < 0 && errno != EAGAIN) fail("read");
    if (n == 0) exit(1);
    if (n < 0) {
      await(fd, POLLIN);
      continue;
    }
    data += n, size -= (size_t)n;
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  int runs = atoi(argv[3]), rounds = atoi(argv[4]);
  size_t bytes = strtoul(argv[5], NULL, 10);
  if (runs < 1 || runs > MOST_RUNS || rounds < 1) return 2;
  int fd = strcmp(argv[1], "wl") ? open_port(argv[2]) : open_context(argv[2]);
  if (fcntl(fd, F_SETFL, O_NONBLOCK)) fail("O_NONBLOCK");
  char *data = malloc(bytes + MESSAGE), line[MOST_RUNS * 64];
  if (!data) fail("memory");
  memset(data, 'x', bytes + MESSAGE);
  int length = snprintf(line, sizeof line, "[");

  write_all(fd, "\n@@begin\n", 9);
  for (int run = 0; run < runs; run++) {
    double start = now();
    for (int i = 0; i < rounds; i++) {
      write_all(fd, data, MESSAGE);
      read_all(fd, data, MESSAGE);
    }
    double echoed = now();
    write_all(fd, data, bytes);
    read_all(fd, data, 1);
    double sent = now();
    write_all(fd, data, 1);
    read_all(fd, data, bytes);
    double received = now();
    length += snprintf(line + length, sizeof line - (size_t)length, "%s[%.2f,%.4f,%.4f]", run ? "," : "",
                       (echoed - start) / rounds * 1e6, (double)bytes / (sent - echoed) / 1e6,
                       (double)bytes / (received - sent) / 1e6);
  }
  length += snprintf(line + length, sizeof line - (size_t)length, "]\n");
  write_all(fd, line, (size_t)length);
  await(fd, POLLOUT);
  tcdrain(fd);
  return 0;
}
