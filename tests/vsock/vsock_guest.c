// A guest's end of the tests of sockets. Connections carry blocks whose bytes follow from the connection's first byte
// and their position, so that whoever reads them knows whether they are right.
//
//   vsock serve PORT         echoes what comes, until it is killed; CLOSE as the first byte has it close at once
//   vsock call PORT N BYTES  N connections to the host, some at a time, each sends BYTES and reads them back
//   vsock hold PORT          connects and reads until the end; prints how that came
//   vsock drop PORT N        N connections that send something and break off in many ways
//   vsock bulk send PORT MIB, vsock bulk receive PORT MIB
//   vsock turns PORT N       N round trips of one byte

#define _GNU_SOURCE
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536
#define AT_ONCE 16
#define CLOSE 255 // no connection that carries blocks begins with it

static unsigned char block[BLOCK], got[BLOCK];

static void die(const char *what) {
  printf("vsock: %s: %s\n", what, strerror(errno));
  exit(1);
}

static unsigned char byte_at(unsigned seed, size_t i) { return (unsigned char)(seed + i * 7 + (i >> 8)); }

static int connect_host(unsigned port) {
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (fd < 0) die("socket");
  // Two seconds by default, which may pass where much is emulated at once.
  struct timeval patience = {.tv_sec = 60};
  if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience, sizeof patience)) die("setsockopt");
  if (connect(fd, (void *)&address, sizeof address)) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

static void write_all(int fd, const void *bytes, size_t length) {
  const char *at = bytes;
  while (length) {
    ssize_t n = write(fd, at, length);
    if (n < 0) die("write");
    at += n;
    length -= (size_t)n;
  }
}

static void echo(int fd) {
  ssize_t n = read(fd, block, sizeof block);
  if (n > 0 && block[0] == CLOSE) exit(0);
  // Who breaks off while we answer does so on purpose.
  for (; n > 0; n = read(fd, block, sizeof block))
    for (ssize_t at = 0, m; at < n; at += m)
      if ((m = write(fd, block + at, (size_t)(n - at))) < 0) exit(1);
  exit(n < 0);
}

static void serve(unsigned port) {
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
  int listening = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (listening < 0 || bind(listening, (void *)&address, sizeof address) || listen(listening, 128)) die("listen");
  printf("@serves=%u\n", port);
  fflush(stdout);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int fd = accept(listening, NULL, NULL);
    if (fd < 0) continue;
    if (!fork()) {
      close(listening);
      echo(fd);
    }
    close(fd);
  }
}

// Sends so many bytes and reads them back, both at the same time. 0 when all were right.
static int exchange(int fd, unsigned seed, size_t bytes) {
  size_t sent = 0, received = 0;
  while (received < bytes) {
    struct pollfd p = {fd, (short)(POLLIN | (sent < bytes ? POLLOUT : 0)), 0};
    if (poll(&p, 1, 30000) <= 0) return 2;
    if (p.revents & POLLOUT && sent < bytes) {
      size_t length = bytes - sent < 40000 ? bytes - sent : 40000;
      for (size_t i = 0; i < length; i++) block[i] = byte_at(seed, sent + i);
      ssize_t n = send(fd, block, length, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) return 3;
      if (n > 0 && (sent += (size_t)n) == bytes) shutdown(fd, SHUT_WR);
    }
    if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
      ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN) return 4;
      if (n == 0) return 5;
      for (ssize_t i = 0; i < n; i++)
        if (got[i] != byte_at(seed, received + (size_t)i)) return 6;
      if (n > 0) received += (size_t)n;
    }
  }
  // The end comes as well, and nothing else.
  return read(fd, got, 1) == 0 ? 0 : 7;
}

static int call(unsigned port, int count, size_t bytes) {
  int left = count, running = 0, failed = 0;
  while (left || running) {
    while (left && running < AT_ONCE) {
      if (!fork()) {
        int fd = connect_host(port);
        if (fd < 0) exit(1);
        exit(exchange(fd, (unsigned)left % 200 + 1, bytes));
      }
      left--;
      running++;
    }
    int status;
    wait(&status);
    running--;
    if (status && !failed++) printf("vsock: a connection ended with %d\n", WEXITSTATUS(status));
  }
  printf("@called=%d of %d failed\n", failed, count);
  return failed != 0;
}

static void hold(unsigned port) {
  int fd = connect_host(port);
  if (fd < 0) die("connect");
  printf("@held=%u\n", port);
  fflush(stdout);
  ssize_t n;
  while ((n = read(fd, got, sizeof got)) > 0) {}
  printf("@ended=%s\n", n == 0 ? "end" : strerrorname_np(errno));
}

static void drop(unsigned port, int count) {
  for (int i = 0; i < count; i++) {
    int fd = connect_host(port);
    if (fd < 0) die("connect");
    write_all(fd, "x", 1);
    if (i % 4 == 1) shutdown(fd, SHUT_WR);
    if (i % 4 == 2) shutdown(fd, SHUT_RD);
    if (i % 4 == 3) write_all(fd, block, sizeof block);
    close(fd);
  }
  printf("@dropped=%d\n", count);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void bulk(int sends, unsigned port, long mib) {
  int fd = connect_host(port);
  if (fd < 0) die("connect");
  double begin = now();
  if (sends) {
    for (long i = 0; i < mib * 16; i++) write_all(fd, block, sizeof block);
    shutdown(fd, SHUT_WR);
    // The host says when it has all.
    if (read(fd, got, 1) != 1) die("read");
  } else {
    long bytes = 0;
    for (ssize_t n; (n = read(fd, got, sizeof got)) > 0;) bytes += n;
    if (bytes != mib << 20) die("count");
  }
  printf("@bulk=%.3f\n", (double)mib / (now() - begin));
}

static void turns(unsigned port, long count) {
  int fd = connect_host(port);
  if (fd < 0) die("connect");
  double begin = now();
  for (long i = 0; i < count; i++) {
    write_all(fd, "x", 1);
    if (read(fd, got, 1) != 1) die("read");
  }
  printf("@turns=%.3f\n", (now() - begin) * 1e6 / (double)count);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc < 3) return 2;
  const char *what = argv[1];
  unsigned port = (unsigned)atoi(argv[2]);
  if (!strcmp(what, "serve")) serve(port);
  else if (!strcmp(what, "call")) return call(port, atoi(argv[3]), (size_t)atol(argv[4]));
  else if (!strcmp(what, "hold")) hold(port);
  else if (!strcmp(what, "drop")) drop(port, atoi(argv[3]));
  else if (!strcmp(what, "bulk")) bulk(!strcmp(argv[2], "send"), (unsigned)atoi(argv[3]), atol(argv[4]));
  else if (!strcmp(what, "turns")) turns(port, atol(argv[3]));
  else return 2;
  return 0;
}
