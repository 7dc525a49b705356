/*
 * The lab host's process 1: after boot.c has set up the machine, it runs commands for the host, several at a time, over one virtio-serial
 * port. When the port closes (the host's side is gone) it powers the machine off.
 *
 * A frame, little endian: type u8, three zero bytes, id u32, length u32, then `length` bytes. The
 * types stand in frames.ts as well.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "boot.h"

enum { SPAWN = 1, STDIN = 2, SIGNAL = 3, RESIZE = 4, POWER_OFF = 5 };
enum { HELLO = 16, STDOUT = 17, STDERR = 18, EXIT = 19, FAILED = 20 };
enum { FLAG_PTY = 1, FLAG_USER = 2 };
enum { USER_ID = 1000, KVM_GROUP = 104, MAX_FRAME = 1 << 20, MAX_JOBS = 256, CHUNK = 65536 };

struct header {
	uint8_t type;
	uint8_t zero[3];
	uint32_t id;
	uint32_t length;
};

/* A running command. Descriptors are -1 once closed; a pty is both `in` and `out`. */
struct job {
	pid_t pid;
	uint32_t id;
	int in, out, err;
	char *pending;
	size_t pending_length;
	int end_of_input;
};

static struct job jobs[MAX_JOBS];
static int port = -1;

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void write_all(const void *data, size_t length)
{
	const char *at = data;
	while (length > 0) {
		ssize_t done = write(port, at, length);
		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done <= 0)
			power_off();
		at += done;
		length -= done;
	}
}

static void send_frame(int type, uint32_t id, const void *data, uint32_t length)
{
	static char buffer[sizeof(struct header) + CHUNK];
	struct header header = { .type = type, .id = id, .length = length };
	/* One write per frame: each costs a round trip to the emulator. */
	memcpy(buffer, &header, sizeof(header));
	memcpy(buffer + sizeof(header), data, length);
	write_all(buffer, sizeof(header) + length);
}

static void read_all(void *data, size_t length)
{
	char *at = data;
	while (length > 0) {
		ssize_t done = read(port, at, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			power_off();
		at += done;
		length -= done;
	}
}

static struct job *find(uint32_t id)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (jobs[i].pid != 0 && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void set_nonblocking(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* In the child: never returns. */
static void become(uint32_t flags, const char *cwd, char **argv, char **env)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (flags & FLAG_USER) {
		gid_t groups[] = { KVM_GROUP };
		if (setgroups(1, groups) || setgid(USER_ID) || setuid(USER_ID)) {
			dprintf(2, "lab: cannot become the user: %s\n", strerror(errno));
			_exit(125);
		}
	}
	if (chdir(cwd) != 0) {
		dprintf(2, "lab: cannot enter %s: %s\n", cwd, strerror(errno));
		_exit(125);
	}
	environ = env;
	execvp(argv[0], argv);
	dprintf(2, "lab: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void spawn(uint32_t id, char *data, uint32_t length)
{
	uint32_t fixed[4]; /* flags, rows << 16 | columns, number of arguments, of variables */
	memcpy(fixed, data, sizeof(fixed));
	char *at = data + sizeof(fixed), *end = data + length;
	uint32_t words = fixed[2] + fixed[3] + 1;
	char **list = calloc(words + 2, sizeof(char *));
	struct job *job = NULL;
	for (int i = 0; i < MAX_JOBS && job == NULL; i++)
		if (jobs[i].pid == 0)
			job = &jobs[i];
	/* list: cwd, arguments, NULL, variables, NULL */
	for (uint32_t i = 0, slot = 0; list != NULL && i < words; i++, slot++) {
		if (i == 1 + fixed[2])
			slot++;
		char *stop = at < end ? memchr(at, 0, end - at) : NULL;
		if (stop == NULL) {
			free(list);
			list = NULL;
			break;
		}
		list[slot] = at;
		at = stop + 1;
	}
	if (list == NULL || job == NULL || fixed[2] == 0) {
		const char *why = job == NULL ? "too many commands" : "malformed command";
		send_frame(FAILED, id, why, strlen(why));
		free(list);
		return;
	}

	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
	int master = -1, slave = -1;
	if (fixed[0] & FLAG_PTY) {
		struct winsize size = { .ws_row = fixed[1] >> 16, .ws_col = fixed[1] & 0xffff };
		master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		grantpt(master);
		unlockpt(master);
		slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
		ioctl(master, TIOCSWINSZ, &size);
		if (fixed[0] & FLAG_USER)
			(void)!fchown(slave, USER_ID, USER_ID);
	} else if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		perror("lab: pipe");
	}
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		if (slave >= 0) {
			ioctl(slave, TIOCSCTTY, 0);
			dup2(slave, 0), dup2(slave, 1), dup2(slave, 2);
		} else {
			dup2(in[0], 0), dup2(out[1], 1), dup2(err[1], 2);
		}
		become(fixed[0], list[0], list + 1, list + 1 + fixed[2] + 1);
	}
	close_fd(&in[0]), close_fd(&out[1]), close_fd(&err[1]), close_fd(&slave);
	if (pid < 0) {
		close_fd(&in[1]), close_fd(&out[0]), close_fd(&err[0]), close_fd(&master);
		send_frame(FAILED, id, "cannot fork", 11);
	} else {
		*job = (struct job){ .pid = pid, .id = id, .in = in[1], .out = out[0], .err = err[0] };
		if (master >= 0)
			job->in = dup(master), job->out = master;
		fcntl(job->in, F_SETFD, FD_CLOEXEC);
		set_nonblocking(job->in), set_nonblocking(job->out), set_nonblocking(job->err);
	}
	free(list);
}

/* Gives a job what it takes of its pending input. */
static void feed(struct job *job)
{
	while (job->in >= 0 && job->pending_length > 0) {
		ssize_t done = write(job->in, job->pending, job->pending_length);
		if (done < 0 && errno == EAGAIN)
			return;
		if (done < 0) { /* it has closed its input: drop the rest */
			job->pending_length = 0;
			close_fd(&job->in);
			return;
		}
		job->pending_length -= done;
		memmove(job->pending, job->pending + done, job->pending_length);
	}
	if (job->end_of_input)
		close_fd(&job->in);
}

static void add_input(struct job *job, const char *data, uint32_t length)
{
	if (length == 0) {
		job->end_of_input = 1;
	} else {
		char *grown = realloc(job->pending, job->pending_length + length);
		if (grown == NULL)
			return;
		memcpy(grown + job->pending_length, data, length);
		job->pending = grown;
		job->pending_length += length;
	}
	feed(job);
}

/* Sends on what a job has written; returns when there is nothing more for now. */
static void drain(struct job *job, int *fd, int type, int all)
{
	static char buffer[CHUNK];
	while (*fd >= 0) {
		ssize_t done = read(*fd, buffer, sizeof(buffer));
		if (done > 0)
			send_frame(type, job->id, buffer, done);
		else if (done == 0 || errno != EAGAIN)
			close_fd(fd);
		else
			return;
		if (!all)
			return;
	}
}

static void reap(void)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];
			if (job->pid != pid)
				continue;
			drain(job, &job->out, STDOUT, 1);
			drain(job, &job->err, STDERR, 1);
			close_fd(&job->in), close_fd(&job->out), close_fd(&job->err);
			uint32_t code = WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
			send_frame(EXIT, job->id, &code, sizeof(code));
			free(job->pending);
			*job = (struct job){ 0 };
		}
	}
}

static void handle_frame(void)
{
	static char data[MAX_FRAME];
	struct header header;
	read_all(&header, sizeof(header));
	if (header.length > sizeof(data))
		power_off();
	read_all(data, header.length);
	struct job *job = find(header.id);
	if (header.type == SPAWN && header.length >= 16)
		spawn(header.id, data, header.length);
	else if (header.type == STDIN && job != NULL)
		add_input(job, data, header.length);
	else if (header.type == SIGNAL && job != NULL && header.length == 4)
		kill(-job->pid, *(uint32_t *)data);
	else if (header.type == RESIZE && job != NULL && header.length == 4 && job->out >= 0) {
		uint32_t size = *(uint32_t *)data;
		struct winsize window = { .ws_row = size >> 16, .ws_col = size & 0xffff };
		ioctl(job->out, TIOCSWINSZ, &window);
	} else if (header.type == POWER_OFF)
		power_off();
}

static int open_port(void)
{
	const char *class = "/sys/class/virtio-ports";
	for (int attempt = 0; attempt < 1000; attempt++, usleep(10000)) {
		DIR *directory = opendir(class);
		struct dirent *entry;
		while (directory != NULL && (entry = readdir(directory)) != NULL) {
			char path[600], name[16] = "";
			snprintf(path, sizeof(path), "%s/%s/name", class, entry->d_name);
			int fd = open(path, O_RDONLY);
			if (fd < 0)
				continue;
			(void)!read(fd, name, sizeof(name) - 1);
			close(fd);
			if (strcmp(name, "lab\n") != 0)
				continue;
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd >= 0) {
				closedir(directory);
				return fd;
			}
		}
		if (directory != NULL)
			closedir(directory);
	}
	return -1;
}

int main(void)
{
	boot();
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGPIPE, SIG_IGN);
	int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	port = open_port();
	if (port < 0) {
		fprintf(stderr, "lab: the agent found no port to the host\n");
		power_off();
	}
	send_frame(HELLO, 0, "", 0);

	for (;;) {
		static struct pollfd polled[2 + 3 * MAX_JOBS];
		polled[0] = (struct pollfd){ .fd = port, .events = POLLIN };
		polled[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];
			int live = job->pid != 0;
			struct pollfd *slot = &polled[2 + 3 * i];
			slot[0] = (struct pollfd){ .fd = live && job->pending_length > 0 ? job->in : -1, .events = POLLOUT };
			slot[1] = (struct pollfd){ .fd = live ? job->out : -1, .events = POLLIN };
			slot[2] = (struct pollfd){ .fd = live ? job->err : -1, .events = POLLIN };
		}
		if (poll(polled, 2 + 3 * MAX_JOBS, -1) < 0)
			continue;
		if (polled[0].revents & POLLIN)
			handle_frame();
		else if (polled[0].revents)
			power_off();
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];
			struct pollfd *slot = &polled[2 + 3 * i];
			if (job->pid == 0)
				continue;
			if (slot[0].revents)
				feed(job);
			if (slot[1].revents)
				drain(job, &job->out, STDOUT, 0);
			if (slot[2].revents)
				drain(job, &job->err, STDERR, 0);
		}
		if (polled[1].revents) {
			struct signalfd_siginfo info;
			while (read(signals, &info, sizeof(info)) > 0)
				;
			reap();
		}
	}
}
