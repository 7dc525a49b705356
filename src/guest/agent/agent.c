/*
 * The agent in a guest: runs commands and copies files for the guest's host, which reaches it by AF_VSOCK.
 *
 *	agent                  listens on port AGENT_PORT, for the host alone
 *	agent --unix PATH      listens there instead, to be tried without a VM
 *
 * Each connection has a process of its own, so that nothing is left of it when it has ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>
#include "machine.h"
#include "session.h"

enum {
	MAX_SESSIONS = 1024,
	BACKLOG = 128,
	/* How often, and for how long, in seconds, the driver of the socket device is waited for. */
	DRIVER_LOOK_S = 1,
	DRIVER_WAIT_S = 120,
};

static int sessions;

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "spectrum-agent: cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		fail("make a socket");
	strcpy(address.sun_path, path);
	umask(0077);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, BACKLOG) != 0)
		fail("listen");
	umask(0022);
	return fd;
}

static int listen_vsock(void)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = AGENT_PORT };
	int fd;
	/* The module may come with the root file system, later than we. */
	for (int waited = 0; (fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0; waited += DRIVER_LOOK_S) {
		if (errno != EAFNOSUPPORT || waited >= DRIVER_WAIT_S)
			fail("make a vsock socket");
		sleep(DRIVER_LOOK_S);
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		/* Another agent is here already. */
		if (errno == EADDRINUSE)
			exit(0);
		fail("listen");
	}
	if (listen(fd, BACKLOG) != 0)
		fail("listen");
	return fd;
}

/* A program in the guest may connect, too, and is nobody's root for that. */
static int is_host(const struct sockaddr_storage *peer)
{
	const struct sockaddr_vm *vm = (const struct sockaddr_vm *)peer;
	return peer->ss_family != AF_VSOCK || vm->svm_cid == VMADDR_CID_HOST;
}

static void take_connection(int listener, int only_tried)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	socklen_t length = sizeof(peer);
	int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
	if (fd < 0) {
		/* Out of descriptors or memory: it will be better later. */
		if (errno != EINTR && errno != ECONNABORTED)
			sleep(1);
		return;
	}
	if (is_host(&peer)) {
		pid_t child = fork();
		if (child == 0) {
			close(listener);
			signal(SIGCHLD, SIG_DFL);
			serve(fd, only_tried);
		}
		sessions += child > 0;
	}
	close(fd);
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		sessions--;
}

static void wake(int number)
{
	(void)number;
}

int main(int count, char **arguments)
{
	int on_unix = count == 3 && strcmp(arguments[1], "--unix") == 0;
	sigset_t waiting, children;
	if (count != 1 && !on_unix) {
		fputs("usage: agent [--unix PATH]\n", stderr);
		return 1;
	}
	/* Nothing of who started us is for commands. */
	close_range(3, ~0U, 0);
	/* Run by its descriptor, it would be called by that. */
	prctl(PR_SET_NAME, "spectrum-agent");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	struct sigaction action = { .sa_handler = wake };
	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	sigemptyset(&waiting);

	if (!on_unix)
		wait_for_init();
	int listener = on_unix ? listen_unix(arguments[2]) : listen_vsock();
	for (;;) {
		struct pollfd wait = { .fd = listener, .events = POLLIN };
		/* At the most so many at a time; the rest waits to be accepted. */
		int ready = ppoll(&wait, sessions < MAX_SESSIONS, NULL, &waiting);
		reap();
		if (ready > 0)
			take_connection(listener, on_unix);
	}
}
