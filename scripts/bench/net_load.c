// Loads a network, as a server (net_load serve PORT) and as a client in a guest:
//   net_load down|up|ask HOST PORT SECONDS   prints one figure: bytes per second, or answers per second
// A connection begins with a letter that says what it is for. Static: it runs where there are no libraries.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 17];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void serve_one(int fd) {
  char what;
  if (read(fd, &what, 1) != 1) return;
  if (what == 'd') {
    while (write(fd, buffer, sizeof buffer) > 0) continue;
    return;
  }
  uint64_t total = 0;
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
    total += (uint64_t)n;
    if (what == 'a' && write(fd, buffer, (size_t)n) != n) return;
  }
  // What has arrived, which is not what has left.
  if (what == 'u' && write(fd, &total, sizeof total) < 0) return;
}

static int serve(int port) {
  signal(SIGCHLD, SIG_IGN);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (void *)&at, sizeof at) || listen(listener, 16)) fail("listen");
  puts("ready");
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fork() == 0) {
      serve_one(fd);
      exit(0);
    }
    close(fd);
  }
}

static double load(char what, int fd, double seconds) {
  uint64_t count = 0;
  double begin = now(), end = begin + seconds;
  while (now() < end) {
    ssize_t n;
    if (what == 'd') n = read(fd, buffer, sizeof buffer);
    else if (what == 'u') n = write(fd, buffer, sizeof buffer);
    else n = write(fd, buffer, 1) == 1 ? read(fd, buffer, 1) : -1;
    if (n <= 0) fail("lost the connection");
    count += (uint64_t)n;
  }
  if (what == 'u') {
    shutdown(fd, SHUT_WR);
    if (read(fd, &count, sizeof count) != sizeof count) fail("no answer");
  }
  return (double)count / (now() - begin);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && !strcmp(argv[1], "serve")) return serve(atoi(argv[2]));
  if (argc != 5) return 2;
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
  inet_pton(AF_INET, argv[2], &at.sin_addr);
  if (connect(fd, (void *)&at, sizeof at)) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char what = argv[1][0];
  if (write(fd, &what, 1) != 1) fail("write");
  printf("%.0f\n", load(what, fd, atof(argv[4])));
  return 0;
}
