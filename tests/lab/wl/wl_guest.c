/*
 * The guest's side of the tests of Virtio Wayland. Each test is a word of the command line with its arguments; it opens
 * contexts named "test" and tells the host's side (host.ts), by a line that it sends first, what to do on each.
 * Prints `wl: NAME ok`, or what is not as it should be and `wl: NAME failed`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../src/guest/virtio_wl/virtwl.h"

#define ALARM_SECONDS 240
#define PIECE 65536

static int wl = -1;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list list;
	int error = errno;

	va_start(list, format);
	printf("wl: ");
	vprintf(format, list);
	printf(" (%s)\n", strerror(error));
	fflush(stdout);
	exit(1);
}

/* What must hold. The condition may set errno, which is shown. */
#define must(condition, ...)                         \
	do {                                         \
		errno = 0;                           \
		if (!(condition))                    \
			fail(__VA_ARGS__);           \
	} while (0)

/* ---- Random, the same on both sides: word i of a stream follows from the one before it. */

struct stream {
	uint32_t word;
	unsigned int bytes;	/* of the word that were used */
};

static uint32_t next_word(uint32_t word)
{
	return word * 1664525u + 1013904223u;
}

static void fill(struct stream *stream, uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		data[i] = stream->word >> (8 * stream->bytes);
		if (++stream->bytes == 4) {
			stream->bytes = 0;
			stream->word = next_word(stream->word);
		}
	}
}

static void check(struct stream *stream, const uint8_t *data, size_t size, const char *what)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] != (uint8_t)(stream->word >> (8 * stream->bytes)))
			fail("%s: byte %zu of a piece of %zu is wrong", what, i, size);
		if (++stream->bytes == 4) {
			stream->bytes = 0;
			stream->word = next_word(stream->word);
		}
	}
}

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % limit;
}

/* ---- VFDs */

static int make_vfd(uint32_t type, uint32_t size, const char *name)
{
	struct virtwl_ioctl_new new = { .type = type, .fd = -1 };

	if (name)
		memcpy(new.name, name, strnlen(name, sizeof(new.name)));
	else
		new.size = size;
	return ioctl(wl, VIRTWL_IOCTL_NEW, &new) ? -1 : new.fd;
}

struct message {
	struct virtwl_ioctl_txn head;
	uint8_t data[PIECE];
};

/* Sends bytes and up to two VFDs, -1 for none. */
static int send_message(int fd, const void *data, uint32_t size, int first, int second)
{
	struct virtwl_ioctl_txn *message = malloc(sizeof(*message) + size);
	int result;

	memset(message->fds, 0xff, sizeof(message->fds));
	message->fds[0] = first;
	if (first >= 0)
		message->fds[1] = second;
	message->len = size;
	memcpy(message->data, data, size);
	result = ioctl(fd, VIRTWL_IOCTL_SEND, message);
	free(message);
	return result;
}

/* Receives up to @size bytes and one VFD. Returns bytes or -1; *vfd is -1 when none came. */
static ssize_t receive_message(int fd, void *data, uint32_t size, int *vfd)
{
	static struct message message;
	ssize_t result;

	message.head.len = size < PIECE ? size : PIECE;
	result = ioctl(fd, VIRTWL_IOCTL_RECV, &message);
	if (result < 0)
		return -1;
	for (int i = 1; i < VIRTWL_SEND_MAX_ALLOCS; i++)
		must(message.head.fds[i] == -1, "more VFDs than one came");
	if (vfd)
		*vfd = message.head.fds[0];
	else
		must(message.head.fds[0] == -1, "an unexpected VFD came");
	memcpy(data, message.data, message.head.len);
	return message.head.len;
}

static void receive_all(int fd, void *data, uint32_t size, int *vfd)
{
	uint8_t *at = data;
	int got = -1;

	if (vfd)
		*vfd = -1;
	while (size) {
		ssize_t count = receive_message(fd, at, size, vfd ? &got : NULL);

		must(count > 0, "the context ends, %u bytes too early", size);
		if (vfd && got >= 0) {
			must(*vfd < 0, "a second VFD came");
			*vfd = got;
		}
		at += count;
		size -= count;
	}
}

/* A context on which the host does what the line says. */
static int context(const char *format, ...)
{
	char line[200];
	va_list list;
	int fd = make_vfd(VIRTWL_IOCTL_NEW_CTX_NAMED, 0, "test");

	must(fd >= 0, "cannot open a context");
	va_start(list, format);
	vsnprintf(line, sizeof(line) - 1, format, list);
	va_end(list);
	strcat(line, "\n");
	must(send_message(fd, line, strlen(line), -1, -1) == 0, "cannot send a line");
	return fd;
}

/* The host says by one letter how it goes. */
static void expect(int fd, char letter)
{
	char got;

	receive_all(fd, &got, 1, NULL);
	must(got == letter, "the host says '%c', not '%c'", got, letter);
}

static void tell(int fd, char letter)
{
	must(send_message(fd, &letter, 1, -1, -1) == 0, "cannot tell '%c'", letter);
}

static short wait_for(int fd, short events, int milliseconds)
{
	struct pollfd one = { .fd = fd, .events = events };

	must(poll(&one, 1, milliseconds) >= 0, "poll");
	return one.revents;
}

static uint8_t *map(int fd, uint64_t size)
{
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	must(data != MAP_FAILED, "cannot map %llu bytes", (unsigned long long)size);
	return data;
}

/* ---- The tests */

/* stream MIB: so much random data each way at once, in messages of random sizes. */
static void test_stream(char **arguments)
{
	uint64_t total = strtoull(arguments[0], NULL, 0) << 20, rest = total;
	int fd = context("stream %llu", (unsigned long long)total);
	static uint8_t data[1024 * 1024];
	struct stream stream = { 0 };
	pid_t reader = fork();
	int status;

	alarm(ALARM_SECONDS + 2 * (total >> 20));
	must(reader >= 0, "fork");
	if (!reader) {
		stream.word = 77;
		while (rest) {
			uint32_t size = 1 + random_below(PIECE);
			ssize_t count = receive_message(fd, data, size < rest ? size : rest, NULL);

			must(count > 0, "the stream ends too early");
			check(&stream, data, count, "stream");
			rest -= count;
		}
		_exit(0);
	}
	stream.word = 99;
	while (rest) {
		uint32_t size = 1 + random_below(random_below(8) ? 20000 : sizeof(data));

		if (size > rest)
			size = rest;
		fill(&stream, data, size);
		must(send_message(fd, data, size, -1, -1) == 0, "cannot send %u bytes", size);
		rest -= size;
	}
	must(waitpid(reader, &status, 0) == reader && status == 0, "the reader failed");
	expect(fd, 'k');
	close(fd);
}

/* memory N: memory of ours, written here and read there, then of the host's, the other way round; N times each. */
static void test_memory(char **arguments)
{
	unsigned int count = atoi(arguments[0]);
	int fd = context("memory %u", count), vfd;

	alarm(ALARM_SECONDS + count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = 1 + random_below(i % 64 ? 20000 : 5000000);
		struct stream stream = { .word = i };
		uint8_t *data;

		vfd = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, size, NULL);
		must(vfd >= 0, "cannot allocate %u bytes, turn %u", size, i);
		must(lseek(vfd, 0, SEEK_END) == ((size + 4095) & ~4095u), "memory has another size");
		data = map(vfd, size);
		must(data[size - 1] == 0, "memory is not zeroed");
		fill(&stream, data, size);
		must(send_message(fd, &size, sizeof(size), vfd, -1) == 0, "cannot send memory");
		close(vfd);
		expect(fd, 'm');
		must(data[0] == 'h' && data[size - 1] == 'h', "the host's bytes are not there");
		munmap(data, size);

		receive_all(fd, &size, sizeof(size), &vfd);
		must(vfd >= 0, "memory of the host did not come");
		must(lseek(vfd, 0, SEEK_END) == size, "memory of the host has another size");
		data = map(vfd, size);
		stream.word = i ^ 0x55aa;
		stream.bytes = 0;
		check(&stream, data, size, "memory of the host");
		data[0] = data[size - 1] = 'g';
		close(vfd);
		tell(fd, 'm');
		expect(fd, 'n');
		munmap(data, size);
	}
	close(fd);
}

static int send_end(int fd, uint32_t type, char letter)
{
	int vfd = make_vfd(type, 0, NULL);

	must(vfd >= 0, "cannot make a pipe");
	must(send_message(fd, &letter, 1, vfd, -1) == 0, "cannot send a pipe");
	return vfd;
}

static int receive_end(int fd)
{
	char letter;
	int vfd;

	receive_all(fd, &letter, 1, &vfd);
	must(letter == 'p' && vfd >= 0, "no pipe came");
	return vfd;
}

static void read_all(int vfd, const char *text)
{
	char got[100];
	size_t size = 0;
	ssize_t count;

	while ((count = read(vfd, got + size, sizeof(got) - size)) > 0)
		size += count;
	must(count == 0, "read of a pipe");
	must(size == strlen(text) && !memcmp(got, text, size), "the pipe brought something else");
	must(wait_for(vfd, POLLIN, 0) == (POLLIN | POLLHUP), "the end of a pipe does not show");
	must(read(vfd, got, 1) == 0, "the end of a pipe does not last");
	close(vfd);
}

/* The reader of a pipe goes: the writer learns it. */
static void write_until_broken(int vfd)
{
	char data[1000] = { 0 };

	signal(SIGPIPE, SIG_IGN);
	must(wait_for(vfd, 0, 60000) & POLLHUP, "the hang-up of a reader does not show");
	for (int i = 0; i < 1000; i++) {
		if (write(vfd, data, sizeof(data)) < 0) {
			if (errno != EPIPE)
				fail("a pipe without a reader");
			close(vfd);
			return;
		}
	}
	fail("a pipe without a reader takes everything");
}

/* pipes N: each kind of pipe, each end closed first, N times. */
static void test_pipes(char **arguments)
{
	unsigned int count = atoi(arguments[0]);
	int fd = context("pipes %u", count), vfd, other;
	char data[100];

	for (unsigned int i = 0; i < count; i++) {
		/* Ours: the host writes, then closes. */
		vfd = send_end(fd, VIRTWL_IOCTL_NEW_PIPE_READ, 'w');
		read_all(vfd, "from the host");
		/* Ours: we write, then close; the host tells what it read. */
		vfd = send_end(fd, VIRTWL_IOCTL_NEW_PIPE_WRITE, 'r');
		must(write(vfd, "from the guest", 14) == 14, "write of a pipe");
		close(vfd);
		receive_all(fd, data, 14, NULL);
		must(!memcmp(data, "from the guest", 14), "the host read something else");
		/* Ours: the host closes its reading end while we write. */
		vfd = send_end(fd, VIRTWL_IOCTL_NEW_PIPE_WRITE, 'c');
		write_until_broken(vfd);
		/* Ours: we close the reading end; the host finds the pipe broken. */
		vfd = send_end(fd, VIRTWL_IOCTL_NEW_PIPE_READ, 'b');
		close(vfd);
		expect(fd, 'b');
		/* The host's, both ends. */
		tell(fd, 'h');
		vfd = receive_end(fd);
		read_all(vfd, "through a pipe of the host");
		tell(fd, 'g');
		vfd = receive_end(fd);
		must(write(vfd, "back to it", 10) == 10, "write of a pipe of the host");
		close(vfd);
		receive_all(fd, data, 10, NULL);
		must(!memcmp(data, "back to it", 10), "the host read something else");
		/* A pipe can be sent once. */
		vfd = send_end(fd, VIRTWL_IOCTL_NEW_PIPE_READ, 'w');
		other = make_vfd(VIRTWL_IOCTL_NEW_CTX_NAMED, 0, "test");
		must(send_message(other, "x", 1, vfd, -1) == -1, "a pipe is sent twice");
		close(other);
		read_all(vfd, "from the host");
	}
	/* More than a pipe holds, slowly read. */
	vfd = send_end(fd, VIRTWL_IOCTL_NEW_PIPE_WRITE, 's');
	for (int i = 0; i < 300; i++) {
		struct stream stream = { .word = i };
		uint8_t piece[1000];

		fill(&stream, piece, sizeof(piece));
		must(write(vfd, piece, sizeof(piece)) == sizeof(piece), "write of a full pipe");
	}
	close(vfd);
	expect(fd, 's');
	close(fd);
}

static uint64_t read_event(int vfd)
{
	uint64_t value;

	must(wait_for(vfd, POLLIN, 60000) & POLLIN, "an event does not come");
	must(read(vfd, &value, sizeof(value)) == sizeof(value), "read of an event");
	return value;
}

static void write_event(int vfd, uint64_t value)
{
	must(write(vfd, &value, sizeof(value)) == sizeof(value), "write of an event");
}

/* events N: an event of ours and one of the host's ring N times each way. */
static void test_events(char **arguments)
{
	unsigned int count = atoi(arguments[0]);
	int fd = context("events %u", count);
	int ours = make_vfd(VIRTWL_IOCTL_NEW_EVENT, 0, NULL), theirs;
	uint64_t value;
	char letter;

	must(ours >= 0, "cannot make an event");
	must(send_message(fd, "e", 1, ours, -1) == 0, "cannot send an event");
	receive_all(fd, &letter, 1, &theirs);
	must(theirs >= 0, "no event of the host came");
	must(fcntl(ours, F_SETFL, O_NONBLOCK) == 0, "fcntl");
	must(read(ours, &value, sizeof(value)) == -1 && errno == EAGAIN, "an event that did not happen");
	must(fcntl(ours, F_SETFL, 0) == 0, "fcntl");
	for (unsigned int i = 1; i <= count; i++) {
		/* To the host by its own, back by ours. */
		write_event(theirs, i);
		must((value = read_event(ours)) == i + 1, "turn %u brought %llu", i, (unsigned long long)value);
	}
	/* It adds up while nobody reads. */
	write_event(theirs, 3);
	write_event(theirs, 4);
	tell(fd, 'a');
	expect(fd, 'a');
	value = read_event(theirs);
	while (value < 11)
		value += read_event(theirs);
	must(value == 11, "the host's counter came as %llu", (unsigned long long)value);
	close(ours);
	close(theirs);
	close(fd);
}

/* ---- Doorbells: events that cross without the device */

#define FUNCTION_DRIVER "/sys/bus/pci/drivers/virtio_wl_doorbell/"
#define DOORBELLS_MAX 64

/* The slot by which a direction of an event crosses, or -1. */
static int doorbell_slot(int vfd, const char *direction)
{
	char path[40], line[80], name[40];
	int slot = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", vfd);
	snprintf(name, sizeof(name), "wl-doorbell-%s:\t%%d", direction);
	info = fopen(path, "r");
	must(info, "cannot open %s", path);
	while (fgets(line, sizeof(line), info))
		sscanf(line, name, &slot);
	fclose(info);
	return slot;
}

/* The same when that has been settled; it is never told that there is none. */
static int await_slot(int vfd, const char *direction, int milliseconds)
{
	int slot;

	while ((slot = doorbell_slot(vfd, direction)) < 0 && milliseconds > 0) {
		usleep(10000);
		milliseconds -= 10;
	}
	return slot;
}

static int make_doorbell(void)
{
	int vfd = make_vfd(VIRTWL_IOCTL_NEW_EVENT, 0, NULL);

	must(vfd >= 0, "cannot make an event");
	must(ioctl(vfd, VIRTWL_IOCTL_DOORBELL) == 0, "an event cannot be a doorbell");
	must(ioctl(vfd, VIRTWL_IOCTL_DOORBELL) == 0, "nor twice");
	return vfd;
}

/* Begins to wait for an event, and has the host ring it. */
static void have_rung(int fd, int vfd)
{
	wait_for(vfd, POLLIN, 0);
	must(send_message(fd, "r", 1, vfd, -1) == 0, "cannot send an event");
}

/* doorbells SLOTS TURNS: events cross by all slots that there are, others as before, and slots are used again. */
static void test_doorbells(char **arguments)
{
	int slots = atoi(arguments[0]), turns = atoi(arguments[1]);
	int fd = context("bells"), ring = context("ring"), ours = make_doorbell(), theirs;
	int vfds[DOORBELLS_MAX + 4], bound = 0, first;
	char letter;

	must(slots <= DOORBELLS_MAX, "too many slots");
	must(send_message(fd, "e", 1, ours, -1) == 0, "cannot send an event");
	receive_all(fd, &letter, 1, &theirs);
	must(theirs >= 0, "no event of the host came");
	must(ioctl(theirs, VIRTWL_IOCTL_DOORBELL) == 0, "an event of the host cannot be a doorbell");
	must(ioctl(fd, VIRTWL_IOCTL_DOORBELL) == -1 && errno == ENOTTY, "a context can be a doorbell");
	for (int i = 0; i < turns; i++) {
		/* The first ones go while there is no slot yet. */
		write_event(theirs, 1 + i % 3);
		must(read_event(ours) > 0, "turn %d brought nothing", i);
	}
	must(await_slot(ours, "read", 10000) >= 0, "what we read crosses by the device");
	must(await_slot(theirs, "write", 10000) >= 0, "what we write crosses by the device");
	must(doorbell_slot(ours, "write") < 0 && doorbell_slot(theirs, "read") < 0, "a slot that nobody needs");
	close(ours);
	close(theirs);

	/* More than there are slots, twice. */
	for (int turn = 0; turn < 2; turn++, bound = 0) {
		for (int i = 0; i < slots + 4; i++) {
			vfds[i] = make_doorbell();
			have_rung(ring, vfds[i]);
		}
		for (int i = 0; i < slots + 4; i++)
			must(read_event(vfds[i]) > 0, "event %d does not come", i);
		first = await_slot(vfds[0], "read", 10000);
		must(first >= 0, "the first has no slot");
		for (int i = 0; i < slots + 4; i++)
			bound += await_slot(vfds[i], "read", i < slots ? 10000 : 50) >= 0;
		must(bound == slots, "%d of %d slots are used", bound, slots);
		for (int i = 0; i < slots + 4; i++) {
			have_rung(ring, vfds[i]);
			must(read_event(vfds[i]) > 0, "event %d does not come again", i);
			close(vfds[i]);
		}
		/* The device answers in its own time. */
		usleep(200000);
	}
	close(fd);
	close(ring);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "cannot write to %s", path);
	close(fd);
}

/* What the PCI function is called. */
static void function_name(char *name, size_t size)
{
	glob_t found;

	must(!glob(FUNCTION_DRIVER "0*", 0, NULL, &found), "there is no doorbell function");
	snprintf(name, size, "%s", found.gl_pathv[0] + strlen(FUNCTION_DRIVER));
	globfree(&found);
}

/* unbind: the function goes while events use it, and comes back. */
static void test_unbind(char **arguments)
{
	int fd = context("bells"), ring = context("ring"), ours = make_doorbell(), theirs, again;
	char letter, name[64];
	uint64_t value;

	(void)arguments;
	function_name(name, sizeof(name));
	must(send_message(fd, "e", 1, ours, -1) == 0, "cannot send an event");
	receive_all(fd, &letter, 1, &theirs);
	must(ioctl(theirs, VIRTWL_IOCTL_DOORBELL) == 0, "an event of the host cannot be a doorbell");
	again = make_doorbell();
	write_event(theirs, 1);
	must(read_event(ours) > 0, "nothing came");
	must(await_slot(ours, "read", 10000) >= 0, "what we read crosses by the device");
	must(await_slot(theirs, "write", 10000) >= 0, "what we write crosses by the device");

	write_file(FUNCTION_DRIVER "unbind", name);
	must(wait_for(ours, POLLIN, 10000) & POLLHUP, "an event without function goes on");
	must(read(ours, &value, sizeof(value)) == 0, "it can be read");
	/* Those that the guest writes, and new ones, are relayed. */
	write_event(theirs, 1);
	have_rung(ring, again);
	must(read_event(again) > 0, "an event without function does not come");
	must(await_slot(again, "read", 100) < 0, "it has a slot");
	close(ours);
	close(theirs);
	close(again);

	write_file(FUNCTION_DRIVER "bind", name);
	again = make_doorbell();
	have_rung(ring, again);
	must(read_event(again) > 0, "an event does not come");
	must(await_slot(again, "read", 10000) >= 0, "the new function has no slot");
	close(again);
	close(ring);
	close(fd);
}

/* A BAR of the function. */
static volatile uint32_t *map_bar(const char *name, int bar, size_t size)
{
	char path[128];
	void *data;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d", name, bar);
	fd = open(path, O_RDWR);
	must(fd >= 0, "there is no %s", path);
	must((data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) != MAP_FAILED, "cannot map %s", path);
	close(fd);
	return data;
}

/* tease SLOTS N: so many stores at random to pages and masks of the function, while an event goes to and fro. */
static void test_tease(char **arguments)
{
	int slots = atoi(arguments[0]), count = atoi(arguments[1]);
	int fd = context("bells"), ours = make_doorbell(), theirs;
	volatile uint32_t *pages, *table;
	char letter, name[64];

	function_name(name, sizeof(name));
	pages = map_bar(name, 2, slots * 4096);
	table = map_bar(name, 0, 4096);
	must(send_message(fd, "e", 1, ours, -1) == 0, "cannot send an event");
	receive_all(fd, &letter, 1, &theirs);
	must(ioctl(theirs, VIRTWL_IOCTL_DOORBELL) == 0, "an event of the host cannot be a doorbell");
	for (int i = 0; i < count; i++) {
		volatile uint32_t *control = table + 4 * random_below(slots) + 3;

		if (random_below(2))
			pages[1024 * random_below(slots)] = i;
		else
			pages[random_below(1024 * slots)] = i;
		must(pages[random_below(1024 * slots)] == 0, "a page reads as something");
		if (random_below(4) == 0) {
			*control ^= 1;
			*control ^= 1;
		}
		if (i % 32)
			continue;
		write_event(theirs, 1);
		must(read_event(ours) > 0, "turn %d brought nothing", i);
	}
	must(doorbell_slot(ours, "read") >= 0 && doorbell_slot(theirs, "write") >= 0, "it crossed by the device");
	close(ours);
	close(theirs);
	close(fd);
}

/* big GIB: memory of the host of that size. */
static void test_big(char **arguments)
{
	uint64_t size = strtoull(arguments[0], NULL, 0) << 30;
	const uint64_t places[] = { 0, size / 2, (4ull << 30) + 8192, size - 4096 };
	int fd = context("big %llu", (unsigned long long)size), vfd;
	uint8_t *data;
	char letter;

	receive_all(fd, &letter, 1, &vfd);
	must(vfd >= 0, "no memory came");
	must((uint64_t)lseek(vfd, 0, SEEK_END) == size, "its size is %lld", (long long)lseek(vfd, 0, SEEK_END));
	data = map(vfd, size);
	for (unsigned int i = 0; i < 4; i++) {
		struct stream stream = { .word = 100 + i };

		check(&stream, data + places[i], 4096, "the host's pattern");
		stream = (struct stream){ .word = 200 + i };
		fill(&stream, data + places[i], 4096);
	}
	tell(fd, 'b');
	expect(fd, 'b');
	munmap(data, size);
	close(vfd);
	expect(fd, 'c');
	close(fd);
}

/* readonly: memory of the host that may only be read. */
static void test_readonly(char **arguments)
{
	int fd = context("readonly"), vfd;
	char letter, *data;

	(void)arguments;
	receive_all(fd, &letter, 1, &vfd);
	must(vfd >= 0, "no memory came");
	must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vfd, 0) == MAP_FAILED && errno == EACCES,
	     "it can be mapped for writing");
	data = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vfd, 0);
	must(data != MAP_FAILED && !strcmp(data, "only to be read"), "it cannot be read");
	must(mprotect(data, 4096, PROT_READ | PROT_WRITE) == -1 && errno == EACCES, "it can be made writable");
	data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, vfd, 0);
	must(data != MAP_FAILED, "it has no private mapping");
	data[0] = 'O';
	must(!strcmp(data, "Only to be read"), "a private mapping is another");
	close(vfd);
	close(fd);
}

static void direct_io(int disk, uint8_t *memory, size_t size, off_t at)
{
	struct stream stream = { .word = size + at };
	uint8_t *plain = aligned_alloc(4096, size);

	fill(&stream, memory, size);
	must(pwrite(disk, memory, size, at) == (ssize_t)size, "direct write of %zu bytes", size);
	memset(memory, 0xee, size);
	must(pread(disk, plain, size, at) == (ssize_t)size, "direct read into memory of our own");
	stream = (struct stream){ .word = size + at };
	check(&stream, plain, size, "what was written from shared memory");
	must(pread(disk, memory, size, at) == (ssize_t)size, "direct read of %zu bytes", size);
	stream = (struct stream){ .word = size + at };
	check(&stream, memory, size, "what was read into shared memory");
	free(plain);
}

/* Reads and writes of every size, at the front and at the back of some memory, which then holds what the number says. */
static uint32_t direct_turns(int disk, uint8_t *memory, size_t size)
{
	for (int i = 0; i < 8; i++) {
		direct_io(disk, memory + 4096 * i, 4096, 65536 * i);
		direct_io(disk, memory, size, size * (i + 1));
	}
	return size + size * 8;
}

/* Memory that may only be read can be written to a disk, and not read into. */
static void direct_readonly(int disk)
{
	uint8_t *plain = aligned_alloc(4096, 4096);
	int fd = context("readonly"), vfd;
	uint8_t *memory;
	char letter;

	receive_all(fd, &letter, 1, &vfd);
	must(vfd >= 0, "no memory came");
	memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vfd, 0);
	must(memory != MAP_FAILED, "it cannot be mapped");
	must(pwrite(disk, memory, 4096, 0) == 4096, "direct write of memory that may only be read");
	must(pread(disk, plain, 4096, 0) == 4096 && !memcmp(plain, "only to be read", 15), "it was written wrongly");
	must(pread(disk, memory, 4096, 4096) == -1 && errno == EFAULT, "it can be read into");
	free(plain);
	munmap(memory, 4096);
	close(vfd);
	close(fd);
}

/*
 * direct DISK: O_DIRECT between a disk and memory that is shared, first the guest's, then the host's. Memory that was never
 * touched is pinned, too.
 */
static void test_direct(char **arguments)
{
	int disk = open(arguments[0], O_RDWR | O_DIRECT), vfd;
	struct stream stream = { .word = 300 };
	const size_t size = 1 << 20;
	int fd = context("keep");
	uint8_t *memory, *plain;
	uint32_t word;
	char letter;

	must(disk >= 0, "cannot open %s", arguments[0]);
	vfd = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, size, NULL);
	must(vfd >= 0, "cannot allocate");
	memory = map(vfd, size);
	must(pread(disk, memory, 4096, 0) == 4096, "direct read into memory that nobody has touched");
	word = direct_turns(disk, memory, size);
	/* What the disk wrote there is what the host sees. */
	must(send_message(fd, "k", 1, vfd, -1) == 0, "cannot send memory");
	must(send_message(fd, &word, sizeof(word), -1, -1) == 0, "cannot send");
	expect(fd, 'k');
	close(fd);
	close(vfd);

	fd = context("give %zu", size);
	receive_all(fd, &letter, 1, &vfd);
	must(vfd >= 0, "no memory came");
	memory = map(vfd, size);
	must(pwrite(disk, memory, size, 0) == (ssize_t)size, "direct write of memory that nobody has touched");
	plain = aligned_alloc(4096, size);
	must(pread(disk, plain, size, 0) == (ssize_t)size, "direct read into memory of our own");
	check(&stream, plain, size, "what was written from the host's memory");
	word = direct_turns(disk, memory, size);
	must(send_message(fd, &word, sizeof(word), -1, -1) == 0, "cannot send");
	expect(fd, 'k');
	munmap(memory, size);
	close(vfd);
	close(fd);

	direct_readonly(disk);
	free(plain);
	close(disk);
}

/* again DISK: memory that comes twice is one memory, and stays while one of its descriptors is open. */
static void test_again(char **arguments)
{
	const size_t size = 1 << 20;
	int disk = open(arguments[0], O_RDWR | O_DIRECT), fd = context("again %zu", size), vfds[2];
	uint8_t *memory[2];
	uint32_t word;
	char letter;

	must(disk >= 0, "cannot open %s", arguments[0]);
	for (int i = 0; i < 2; i++) {
		receive_all(fd, &letter, 1, &vfds[i]);
		must(vfds[i] >= 0, "no memory came");
		memory[i] = map(vfds[i], size);
	}
	memory[0][size - 1] = 11;
	must(memory[1][size - 1] == 11, "it is another memory");
	word = direct_turns(disk, memory[0], size);
	must(!memcmp(memory[0], memory[1], size), "direct I/O went elsewhere");
	munmap(memory[0], size);
	close(vfds[0]);
	usleep(100000);
	must(send_message(fd, &word, sizeof(word), -1, -1) == 0, "cannot send");
	expect(fd, 'k');
	word = direct_turns(disk, memory[1], size);
	must(send_message(fd, &word, sizeof(word), -1, -1) == 0, "cannot send");
	expect(fd, 'k');
	munmap(memory[1], size);
	close(vfds[1]);
	close(fd);
	close(disk);
}

/* plain DISK: without struct pages there is no direct I/O, and nothing else happens. */
static void test_plain(char **arguments)
{
	int disk = open(arguments[0], O_RDWR | O_DIRECT), vfd = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, 8192, NULL);
	uint8_t *memory = map(vfd, 8192), *plain = aligned_alloc(4096, 4096);

	must(disk >= 0, "cannot open %s", arguments[0]);
	must(pread(disk, memory, 4096, 0) == -1 && errno == EFAULT, "direct I/O without struct pages");
	memory[0] = 1;
	must(pwrite(disk, memory, 4096, 0) == -1 && errno == EFAULT, "direct I/O without struct pages");
	must(pread(disk, plain, 4096, 0) == 4096, "direct read into memory of our own");
	free(plain);
	close(vfd);
	close(disk);
}

#define TORN_SIZE (1 << 20)

/* What the threads of `torn` share. */
static struct {
	int disk;
	uint8_t *volatile memory;
	volatile int stop;
	atomic_uint done, faults, errors;
} torn;

/* Direct I/O at a place where memory comes and goes. */
static void *torn_io(void *seed)
{
	uint32_t state = (uintptr_t)seed;

	while (!torn.stop) {
		uint8_t *memory = torn.memory;
		size_t size = 4096;
		ssize_t result;
		off_t at;

		state = next_word(state);
		size <<= state >> 29;
		at = (state >> 8) % (TORN_SIZE / 4096) * 4096;
		result = state & 0x10000 ? pread(torn.disk, memory, size, at) : pwrite(torn.disk, memory, size, at);
		if (result > 0)
			torn.done++;
		else if (errno == EFAULT || errno == ENOMEM)
			torn.faults++;
		else
			torn.errors++;
		if (result < 0)
			usleep(500);
	}
	return NULL;
}

/*
 * torn DISK SECONDS MAYFAIL: a program without rights does direct I/O into memory that it takes away meanwhile. None of it
 * fails but where there is no memory, unless the device dies.
 */
static void test_torn(char **arguments)
{
	int may_fail = atoi(arguments[2]);
	time_t end = time(NULL) + atoi(arguments[1]);
	unsigned int turns = 0;
	pthread_t threads[4];
	uint8_t *place;

	torn.disk = open(arguments[0], O_RDWR | O_DIRECT);
	must(torn.disk >= 0, "cannot open %s", arguments[0]);
	must(setgid(65534) == 0 && setuid(65534) == 0, "cannot become nobody");
	place = mmap(NULL, TORN_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(place != MAP_FAILED, "mmap");
	torn.memory = place;
	for (uintptr_t i = 0; i < 4; i++)
		must(pthread_create(&threads[i], NULL, torn_io, (void *)(i + 1)) == 0, "pthread_create");
	for (; time(NULL) < end; turns++) {
		int vfd = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, TORN_SIZE, NULL);

		if (vfd < 0) {
			must(may_fail, "cannot allocate, turn %u", turns);
			usleep(10000);
			continue;
		}
		must(mmap(place, TORN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, vfd, 0) == place, "mmap");
		if (turns % 2)
			close(vfd);
		usleep(random_below(20000));
		mmap(place, TORN_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (turns % 2 == 0)
			close(vfd);
	}
	torn.stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("wl: %u memories, %u transfers, %u without memory, %u in error\n", turns, torn.done, torn.faults,
	       torn.errors);
	must(torn.done && torn.faults, "nothing happened");
	must(may_fail || !torn.errors, "direct I/O failed");
}

static void pass_descriptor(int over, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec vector = { &byte, 1 };
	struct msghdr head = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
			       .msg_controllen = sizeof(control) };
	struct cmsghdr *item = CMSG_FIRSTHDR(&head);

	item->cmsg_level = SOL_SOCKET;
	item->cmsg_type = SCM_RIGHTS;
	item->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(item), &fd, sizeof(fd));
	must(sendmsg(over, &head, 0) == 1, "sendmsg");
}

static int take_descriptor(int over)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec vector = { &byte, 1 };
	struct msghdr head = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
			       .msg_controllen = sizeof(control) };
	int fd;

	must(recvmsg(over, &head, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&head), "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&head)), sizeof(fd));
	return fd;
}

/* pass: VFDs go from process to process; the last one that has them closes them. */
static void test_pass(char **arguments)
{
	int pair[2], fd = context("echo"), vfd, status;
	uint8_t *data;
	pid_t child;

	(void)arguments;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	child = fork();
	if (!child) {
		close(fd);
		close(wl);
		fd = take_descriptor(pair[1]);
		vfd = take_descriptor(pair[1]);
		data = map(vfd, 8192);
		must(!memcmp(data + 5000, "from the parent", 15), "the child sees other memory");
		memcpy(data, "from the child", 14);
		must(send_message(fd, "child", 5, -1, -1) == 0, "the child cannot send");
		_exit(0);
	}
	vfd = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, 8192, NULL);
	data = map(vfd, 8192);
	memcpy(data + 5000, "from the parent", 15);
	pass_descriptor(pair[0], fd);
	pass_descriptor(pair[0], vfd);
	must(waitpid(child, &status, 0) == child && status == 0, "the child failed");
	must(!memcmp(data, "from the child", 14), "the parent sees other memory");
	{
		char text[5];

		receive_all(fd, text, 5, NULL);
		must(!memcmp(text, "child", 5), "the echo is another");
	}
	close(fd);
	close(vfd);
}

static void echo(int fd, int count)
{
	uint8_t sent[3000], got[3000];

	for (int i = 0; i < count; i++) {
		struct stream stream = { .word = i };
		uint32_t size = 1 + random_below(sizeof(sent));

		fill(&stream, sent, size);
		must(send_message(fd, sent, size, -1, -1) == 0, "an echo cannot be sent");
		receive_all(fd, got, size, NULL);
		must(!memcmp(sent, got, size), "an echo comes back changed");
	}
}

/* silent: nobody reads a flood from the host, the host does not read ours; another context goes on; nothing is lost. */
static void test_silent(char **arguments)
{
	const uint64_t flood_size = 3 << 20;
	int flood = context("flood %llu", (unsigned long long)flood_size), deaf = context("deaf"), fd = context("echo");
	struct stream stream = { .word = 77 }, sent = { .word = 99 };
	static uint8_t data[PIECE];
	uint64_t rest, queued = 0;

	(void)arguments;
	must(wait_for(flood, POLLIN, 60000) == POLLIN, "the flood does not come");
	must(fcntl(deaf, F_SETFL, O_NONBLOCK) == 0, "fcntl");
	while (wait_for(deaf, POLLOUT, 1000) & POLLOUT) {
		fill(&sent, data, 5000);
		must(send_message(deaf, data, 5000, -1, -1) == 0, "room that is none");
		queued += 5000;
	}
	must(send_message(deaf, data, 1, -1, -1) == -1 && errno == EAGAIN, "there is no end of room");
	must(queued > 100000, "only %llu bytes are under way", (unsigned long long)queued);
	echo(fd, 100);
	for (rest = flood_size; rest;) {
		ssize_t count = receive_message(flood, data, sizeof(data), NULL);

		must(count > 0, "the flood ends too early");
		check(&stream, data, count, "the flood");
		rest -= count;
	}
	must(receive_message(flood, data, 1, NULL) == 0, "the flood has no end");
	/* The host reads after all, and says how much there was, and that it was right. */
	tell(fd, 'e');
	expect(fd, 'e');
	close(fd);
	fd = context("listen %llu", (unsigned long long)queued);
	must(fcntl(deaf, F_SETFL, 0) == 0, "fcntl");
	expect(deaf, 'd');
	close(deaf);
	close(flood);
	close(fd);
}

/* hangup: contexts that the host closes, and that we close. */
static void test_hangup(char **arguments)
{
	int fd = context("bye"), other, closed;
	char text[10];

	(void)arguments;
	receive_all(fd, text, 3, NULL);
	must(!memcmp(text, "bye", 3), "the last words are others");
	must(wait_for(fd, POLLIN, 60000) == (POLLIN | POLLHUP), "a hang-up does not show");
	must(receive_message(fd, text, 10, NULL) == 0, "a hang-up is not the end");
	must(read(fd, text, 10) == 0, "nor for read");
	must(send_message(fd, "x", 1, -1, -1) == -1 && errno == EPIPE, "a peer that is gone is still sent to");
	close(fd);

	/* The last descriptor of several counts. */
	fd = context("count");
	other = dup(fd);
	close(fd);
	closed = context("closed");
	must(wait_for(closed, POLLIN, 300) == 0, "a context ends with one of its descriptors");
	close(other);
	expect(closed, 'c');
	close(closed);

	/* Names. */
	must(make_vfd(VIRTWL_IOCTL_NEW_CTX_NAMED, 0, "nosuch") == -1 && errno == ENOENT, "a name that there is not");
	must(make_vfd(VIRTWL_IOCTL_NEW_CTX_NAMED, 0, "dead") == -1 && errno == ECONNREFUSED, "a socket that nobody has");
	must(make_vfd(VIRTWL_IOCTL_NEW_CTX, 0, NULL) == -1 && errno == ENOENT, "there is a compositor");
	must(make_vfd(VIRTWL_IOCTL_NEW_DMABUF, 0, NULL) == -1 && errno == ENOTTY, "there are dmabufs");
	must(make_vfd(VIRTWL_IOCTL_NEW_ALLOC, 0xffffffff, NULL) == -1 && errno == ENOMEM, "4 GiB can be had");
	must(make_vfd(99, 0, NULL) == -1 && errno == EINVAL, "there are VFDs of type 99");
}

static sigjmp_buf bus_error;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(bus_error, 1);
}

static int touch_faults(volatile uint8_t *data)
{
	signal(SIGBUS, on_bus_error);
	/* Where it may only be read. */
	signal(SIGSEGV, on_bus_error);
	if (sigsetjmp(bus_error, 1))
		return 1;
	data[0]++;
	return 0;
}

/* death: the device dies under everything that there is, and comes back. */
static void test_death(char **arguments)
{
	int fd = context("echo"), memory = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, 1 << 20, NULL), again = -1;
	int event = make_doorbell(), is_bound;
	uint8_t *data = map(memory, 1 << 20), *untouched = map(memory, 1 << 20);
	uint64_t value = 1;

	(void)arguments;
	data[0] = 1;
	echo(fd, 3);
	wait_for(event, POLLIN, 0);
	is_bound = await_slot(event, "read", 1000) >= 0;
	printf("wl: death awaits\n");
	fflush(stdout);
	must(wait_for(fd, POLLIN, 120000) & POLLHUP, "the end does not show");
	must(receive_message(fd, &value, 1, NULL) == 0, "the context goes on");
	must(send_message(fd, "x", 1, -1, -1) == -1 && errno == EPIPE, "the context still takes something");
	must(read(event, &value, sizeof(value)) == 0, "the event goes on");
	must(touch_faults(data) && touch_faults(untouched), "memory that is gone can be touched");
	for (int i = 0; again < 0 && i < 600; i++) {
		again = make_vfd(VIRTWL_IOCTL_NEW_CTX_NAMED, 0, "test");
		if (again < 0)
			usleep(100000);
	}
	must(again >= 0, "there is no new device");
	must(send_message(again, "echo\n", 5, -1, -1) == 0, "the new device takes nothing");
	must(send_message(again, "x", 1, event, -1) == -1, "the new device takes an old VFD");
	echo(again, 10);
	close(memory);
	close(event);
	close(fd);
	memory = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, 1 << 20, NULL);
	must(memory >= 0, "the new device has no memory");
	must(!touch_faults(map(memory, 1 << 20)), "its memory cannot be touched");
	event = make_doorbell();
	wait_for(event, POLLIN, 0);
	must(!is_bound || await_slot(event, "read", 10000) >= 0, "it has no doorbells");
}

/* many N: so many processes do a bit of everything at once. */
static void test_many(char **arguments)
{
	int count = atoi(arguments[0]), failed = 0, status;

	for (int i = 0; i < count; i++) {
		if (!fork()) {
			char *small[] = { "3", NULL };

			random_state += i * 7919;
			if (i % 3 == 0)
				test_memory(small);
			else if (i % 3 == 1)
				test_events(small);
			else
				echo(context("echo"), 30);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		failed += status != 0;
	must(!failed, "%d of %d failed", failed, count);
}

#define HOSTILE_FDS 48

static void on_alarm(int signal)
{
	(void)signal;
}

/* What a program can do with a descriptor, whatever comes of it. */
static void do_anything(int *fds, int *ends)
{
	static const uint32_t types[] = { 0, 1, 1, 1, 2, 3, 5, 5, 16, 4, 77 };
	int *slot = &fds[random_below(HOSTILE_FDS)], *other = &fds[random_below(HOSTILE_FDS)];
	static struct message message;
	struct pollfd polls[HOSTILE_FDS];
	uint32_t type, size = 1 + random_below(random_below(4) ? 300 : PIECE);
	char name[33];
	uint8_t *data;

	switch (random_below(9)) {
	case 0:
	case 1:
		type = types[random_below(sizeof(types) / sizeof(*types))];
		if (*slot >= 0)
			close(*slot);
		snprintf(name, sizeof(name), "%u", size);
		*slot = make_vfd(type, 1 + random_below(1 << 21), type == 5 ? name : NULL);
		if (*slot >= 0 && random_below(2))
			fcntl(*slot, F_SETFL, O_NONBLOCK);
		break;
	case 2:
		message.head.len = size;
		for (int i = 0; i < VIRTWL_SEND_MAX_ALLOCS; i++)
			message.head.fds[i] = random_below(4) ? fds[random_below(HOSTILE_FDS)] : -1;
		ioctl(*slot, VIRTWL_IOCTL_SEND, &message);
		break;
	case 3:
		message.head.len = size;
		if (ioctl(*slot, VIRTWL_IOCTL_RECV, &message))
			break;
		for (int i = 0; i < VIRTWL_SEND_MAX_ALLOCS && message.head.fds[i] >= 0; i++) {
			int *place = &fds[random_below(HOSTILE_FDS)];

			if (*place >= 0)
				close(*place);
			*place = message.head.fds[i];
		}
		break;
	case 4:
		if (read(*slot, message.data, size) < 0 && write(*slot, message.data, size) < 0)
			lseek(*slot, 0, SEEK_END);
		break;
	case 5:
	case 6:
		data = mmap(NULL, 1 << 21, PROT_READ | (random_below(4) ? PROT_WRITE : 0),
			    random_below(4) ? MAP_SHARED : MAP_PRIVATE, *slot, 0);
		if (data == MAP_FAILED)
			break;
		touch_faults(data + random_below(1 << 21));
		/* Its pages stay in use when it is closed. */
		if (!touch_faults(data) && random_below(2)) {
			struct iovec vector = { data, 4096 };

			if (vmsplice(ends[1], &vector, 1, SPLICE_F_NONBLOCK) < 0)
				while (read(ends[0], message.data, PIECE) > 0)
					;
		}
		if (random_below(2)) {
			close(*slot);
			*slot = -1;
		}
		munmap(data, 1 << 21);
		break;
	case 7:
		for (int i = 0; i < HOSTILE_FDS; i++)
			polls[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN | POLLOUT };
		poll(polls, HOSTILE_FDS, 0);
		break;
	default:
		if (*slot >= 0)
			close(*slot);
		*slot = *other >= 0 ? dup(*other) : -1;
	}
}

static int is_calm(void)
{
	int fd = make_vfd(VIRTWL_IOCTL_NEW_CTX_NAMED, 0, "calm");

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* hostile N: N processes do anything until the device, which lies, has had enough. Whatever happens, the kernel goes on. */
static void test_hostile(char **arguments)
{
	int count = atoi(arguments[0]), failed = 0, status;
	struct itimerval soon = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction action = { .sa_handler = on_alarm };

	for (int i = 0; i < count; i++) {
		if (!fork()) {
			int fds[HOSTILE_FDS], ends[2];

			memset(fds, 0xff, sizeof(fds));
			random_state += 7919 * i + getpid();
			signal(SIGPIPE, SIG_IGN);
			/* Nothing waits for ever: without SA_RESTART a signal ends it. */
			sigaction(SIGALRM, &action, NULL);
			setitimer(ITIMER_REAL, &soon, NULL);
			must(pipe2(ends, O_NONBLOCK) == 0, "pipe");
			for (int turn = 0; turn % 64 || !is_calm(); turn++)
				do_anything(fds, ends);
			_exit(0);
		}
	}
	alarm(0);
	while (wait(&status) > 0)
		failed += status != 0;
	must(!failed, "%d of %d failed", failed, count);
}

/* cached: what the kernel says of the type of our mappings. */
static void test_cached(char **arguments)
{
	int vfd = make_vfd(VIRTWL_IOCTL_NEW_ALLOC, 8192, NULL);
	uint8_t *data = map(vfd, 8192);
	int shown = 0;
	char line[200];
	FILE *list;

	data[0] = 1;
	list = fopen(arguments[0], "r");
	must(list, "cannot open %s", arguments[0]);
	while (fgets(line, sizeof(line), list)) {
		unsigned long long start = 0;
		char *at = strstr(line, "0x");

		if (at)
			start = strtoull(at, NULL, 16);
		/* The region lies above all memory. */
		if (start < 0x1000000000ull)
			continue;
		printf("wl: %s", line);
		must(strstr(line, "write-back"), "a mapping is not cached: %s", line);
		shown++;
	}
	must(shown, "no mapping of ours is in the list");
	fclose(list);
	close(vfd);
}

static const struct {
	const char *name;
	void (*run)(char **arguments);
	int arguments;
} tests[] = {
	{ "stream", test_stream, 1 },   { "memory", test_memory, 1 },     { "pipes", test_pipes, 1 },
	{ "events", test_events, 1 },   { "big", test_big, 1 },	          { "readonly", test_readonly, 0 },
	{ "direct", test_direct, 1 },   { "pass", test_pass, 0 },         { "silent", test_silent, 0 },
	{ "hangup", test_hangup, 0 },   { "death", test_death, 0 },       { "many", test_many, 1 },
	{ "cached", test_cached, 1 },   { "hostile", test_hostile, 1 },   { "torn", test_torn, 3 },
	{ "again", test_again, 1 },	{ "plain", test_plain, 1 },     { "tease", test_tease, 2 },       { "doorbells", test_doorbells, 2 },
	{ "unbind", test_unbind, 0 },
};

static void run(unsigned int test, char **arguments)
{
	struct timespec start, end;
	int status;
	pid_t child;

	clock_gettime(CLOCK_MONOTONIC, &start);
	fflush(stdout);
	child = fork();
	if (!child) {
		alarm(ALARM_SECONDS);
		wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);
		must(wl >= 0, "cannot open /dev/wl0");
		tests[test].run(arguments);
		exit(0);
	}
	waitpid(child, &status, 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (WIFSIGNALED(status))
		printf("wl: killed by signal %d\n", WTERMSIG(status));
	printf("wl: %s %s, %lld ms\n", tests[test].name, status ? "failed" : "ok",
	       (long long)(end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000);
	if (status)
		exit(1);
}

int main(int count, char **arguments)
{
	for (int i = 1; i < count;) {
		unsigned int test = 0;

		while (test < sizeof(tests) / sizeof(*tests) && strcmp(tests[test].name, arguments[i]))
			test++;
		if (test == sizeof(tests) / sizeof(*tests) || i + tests[test].arguments >= count)
			fail("what is %s?", arguments[i]);
		run(test, arguments + i + 1);
		i += 1 + tests[test].arguments;
	}
	return 0;
}
