// The host's end of the sockets of a benchmark: over Unix sockets (`vsock_host unix PATH`, at PATH_7001 and so on) or
// AF_VSOCK (`vsock_host vsock`). Port 7001 takes all there is and then answers with a byte; 7002 sends so many MiB
// (`MIB` in the environment); 7003 answers each byte with one.

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SINK 7001
#define SOURCE 7002
#define ECHO 7003

static char block[65536];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int listen_at(const char *path, unsigned port) {
  struct sockaddr_un local = {.sun_family = AF_UNIX};
  struct sockaddr_vm machine = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
  if (path) snprintf(local.sun_path, sizeof local.sun_path, "%s_%u", path, port);
  int fd = socket(path ? AF_UNIX : AF_VSOCK, SOCK_STREAM, 0);
  if (fd < 0) die("socket");
  int bad = path ? bind(fd, (void *)&local, sizeof local) : bind(fd, (void *)&machine, sizeof machine);
  if (bad || listen(fd, 8)) die("listen");
  return fd;
}

static void write_all(int fd, size_t length) {
  while (length) {
    ssize_t n = write(fd, block, length < sizeof block ? length : sizeof block);
    if (n <= 0) return;
    length -= (size_t)n;
  }
}

static void serve(int fd, unsigned port) {
  ssize_t n;
  if (port == SINK) {
    while (read(fd, block, sizeof block) > 0) {}
    write_all(fd, 1);
  } else if (port == SOURCE) {
    write_all(fd, (size_t)atol(getenv("MIB")) << 20);
  } else {
    while ((n = read(fd, block, sizeof block)) > 0) write_all(fd, (size_t)n);
  }
}

int main(int argc, char **argv) {
  const char *path = argc > 2 ? argv[2] : NULL;
  for (unsigned port = SINK; port <= ECHO; port++) {
    int listening = listen_at(path, port);
    if (fork()) continue;
    for (;;) {
      int fd = accept(listening, NULL, NULL);
      if (fd < 0) continue;
      serve(fd, port);
      close(fd);
    }
  }
  puts("@@serves");
  fflush(stdout);
  pause();
}
