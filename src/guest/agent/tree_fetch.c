#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tree.h"

enum { CHUNK = 65536 };

/* Puts a frame in its place once there is room; the process ends when the host is gone. */
static void put(struct connection *connection, uint32_t type, const void *payload, size_t length)
{
	if (connection_room(connection) < length && connection_flush_all(connection) != 0)
		_exit(1);
	connection_put(connection, type, payload, length);
}

__attribute__((noreturn)) static void fail(struct connection *connection, const char *name)
{
	connection_fail(connection, 125, "Cannot read %s in the guest: %s.", name, strerror(errno));
}

static void put_entry(struct connection *connection, uint32_t type, const struct stat *status, const char *name)
{
	unsigned char payload[16 + NAME_MAX + 1];
	size_t length = strnlen(name, NAME_MAX);
	uint32_t mode = status->st_mode & 07777, nanoseconds = status->st_mtim.tv_nsec;
	uint64_t seconds = status->st_mtim.tv_sec;
	memcpy(payload, &mode, 4);
	memcpy(payload + 4, &nanoseconds, 4);
	memcpy(payload + 8, &seconds, 8);
	memcpy(payload + 16, name, length);
	put(connection, type, payload, 16 + length);
}

static void fetch_file(struct connection *connection, int fd, const char *name)
{
	for (;;) {
		if (connection_room(connection) < CHUNK && connection_flush_all(connection) != 0)
			_exit(1);
		ssize_t count = read(fd, connection_payload(connection), CHUNK);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			fail(connection, name);
		if (count == 0)
			return;
		connection_commit(connection, FRAME_CONTENT, count);
		if (connection_flush(connection) < 0)
			_exit(1);
	}
}

static void fetch_link(struct connection *connection, int folder, const char *name)
{
	char payload[NAME_MAX + 1 + 4096];
	size_t length = strnlen(name, NAME_MAX);
	memcpy(payload, name, length);
	payload[length++] = 0;
	ssize_t count = readlinkat(folder, name, payload + length, 4096);
	if (count <= 0)
		fail(connection, name);
	put(connection, FRAME_LINK, payload, length + count);
}

/* Something that is open, under a name. */
static void fetch(struct connection *connection, int fd, const char *name, int depth);

/* Something in a folder. What goes away meanwhile is left out. */
static void fetch_child(struct connection *connection, int folder, const char *name, int depth)
{
	struct stat status;
	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			fail(connection, name);
		return;
	}
	if (S_ISLNK(status.st_mode)) {
		fetch_link(connection, folder, name);
		return;
	}
	if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
		put(connection, FRAME_SKIPPED, name, strlen(name));
		return;
	}
	/* Not blocking: it may be another thing by now. */
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		fail(connection, name);
	fetch(connection, fd, name, depth);
}

static void fetch_folder(struct connection *connection, int fd, const char *name, int depth)
{
	DIR *folder = fdopendir(fd);
	struct dirent *entry;
	if (depth >= MAX_DEPTH)
		connection_fail(connection, 125, "Folders are more than %d deep in each other.", MAX_DEPTH);
	if (folder == NULL)
		fail(connection, name);
	while (errno = 0, (entry = readdir(folder)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fetch_child(connection, fd, entry->d_name, depth + 1);
	if (errno != 0)
		fail(connection, name);
	closedir(folder);
}

static void fetch(struct connection *connection, int fd, const char *name, int depth)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		fail(connection, name);
	int is_folder = S_ISDIR(status.st_mode);
	put_entry(connection, is_folder ? FRAME_FOLDER : FRAME_REGULAR, &status, name);
	if (is_folder)
		fetch_folder(connection, fd, name, depth);
	else {
		fetch_file(connection, fd, name);
		close(fd);
	}
	put(connection, FRAME_LEAVE, NULL, 0);
}

void tree_fetch(struct connection *connection, const char *path)
{
	char *copy = strdup(path);
	const char *name = basename(copy);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail(connection, path);
	/* The host gives the root a name of its own. */
	fetch(connection, fd, strcmp(name, "/") == 0 || name[0] == '.' ? "root" : name, 0);
	connection_end(connection, FRAME_DONE, NULL, 0);
}
