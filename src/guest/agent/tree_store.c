#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tree.h"

/* Permissions that a file may bring along: no set-user-ID and the like. */
enum { PERMISSIONS = 0777 };

struct entry {
	uint32_t mode;
	struct timespec modified;
	char *name;
};

struct store {
	struct connection *connection;
	/* Where to, as the host said it: for messages. */
	const char *path;
};

__attribute__((noreturn)) static void fail(const struct store *store, const char *what, const char *name)
{
	connection_fail(store->connection, 125, "Cannot %s %s, for %s in the guest: %s.", what, name, store->path, strerror(errno));
}

__attribute__((noreturn)) static void broken(const struct store *store)
{
	connection_fail(store->connection, 125, "The host broke the protocol.");
}

static struct frame await(const struct store *store)
{
	struct frame frame;
	if (!connection_await(store->connection, &frame))
		_exit(1);
	return frame;
}

static int is_component(const char *name)
{
	return name != NULL && name[0] != 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strchr(name, '/') == NULL;
}

static struct entry entry_of(const struct store *store, const struct frame *frame)
{
	struct cursor cursor = cursor_of(frame);
	struct entry entry;
	entry.mode = take_u32(&cursor) & PERMISSIONS;
	entry.modified.tv_nsec = take_u32(&cursor);
	entry.modified.tv_sec = take_u64(&cursor);
	entry.name = take_string(&cursor);
	if (cursor.bad || entry.modified.tv_nsec >= 1000000000 || !is_component(entry.name))
		broken(store);
	return entry;
}

static void set_times(int fd, const struct entry *entry)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, entry->modified };
	futimens(fd, times);
}

static void write_all(const struct store *store, int fd, const unsigned char *bytes, size_t length, const char *name)
{
	while (length > 0) {
		ssize_t count = write(fd, bytes, length);
		if (count < 0 && errno != EINTR)
			fail(store, "write", name);
		if (count > 0) {
			bytes += count;
			length -= count;
		}
	}
}

/*
 * A file. The one that the user named is written through, whatever it is; inside a tree it is always a new one, so that
 * no link that lies there leads elsewhere.
 */
static void store_file(const struct store *store, int folder, const struct entry *entry, int named)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (named ? O_TRUNC : O_EXCL);
	if (!named && unlinkat(folder, entry->name, 0) != 0 && errno != ENOENT)
		fail(store, "replace", entry->name);
	int fd = openat(folder, entry->name, flags, 0600);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) != 0)
		fail(store, "create", entry->name);
	for (;;) {
		struct frame frame = await(store);
		if (frame.type == FRAME_LEAVE)
			break;
		if (frame.type != FRAME_CONTENT)
			broken(store);
		write_all(store, fd, frame.payload, frame.length, entry->name);
	}
	if (S_ISREG(status.st_mode)) {
		if (fchmod(fd, entry->mode) != 0)
			fail(store, "set the mode of", entry->name);
		set_times(fd, entry);
	}
	if (close(fd) != 0)
		fail(store, "write", entry->name);
}

static void store_link(const struct store *store, int folder, const struct frame *frame, const char *as)
{
	char text[8192];
	if (frame->length >= sizeof(text) || memchr(frame->payload, 0, frame->length) == NULL)
		broken(store);
	memcpy(text, frame->payload, frame->length);
	text[frame->length] = 0;
	const char *target = text + strlen(text) + 1, *name = as == NULL ? text : as;
	if (!is_component(text) || strlen(target) == 0)
		broken(store);
	if (unlinkat(folder, name, 0) != 0 && errno != ENOENT)
		fail(store, "replace", name);
	if (symlinkat(target, folder, name) != 0)
		fail(store, "make the link", name);
}

static void store_folder(const struct store *store, int parent, const struct entry *entry, int named, int depth);

/* One thing of a folder; 0 at its end. */
static int store_next(const struct store *store, int folder, int depth)
{
	struct frame frame = await(store);
	struct entry entry;
	switch (frame.type) {
	case FRAME_LEAVE:
		return 0;
	case FRAME_LINK:
		store_link(store, folder, &frame, NULL);
		return 1;
	case FRAME_REGULAR:
		entry = entry_of(store, &frame);
		store_file(store, folder, &entry, 0);
		break;
	case FRAME_FOLDER:
		entry = entry_of(store, &frame);
		store_folder(store, folder, &entry, 0, depth);
		break;
	default:
		broken(store);
	}
	free(entry.name);
	return 1;
}

static void store_folder(const struct store *store, int parent, const struct entry *entry, int named, int depth)
{
	if (depth >= MAX_DEPTH)
		connection_fail(store->connection, 125, "Folders are more than %d deep in each other.", MAX_DEPTH);
	if (mkdirat(parent, entry->name, 0700) != 0 && errno != EEXIST)
		fail(store, "make the folder", entry->name);
	int fd = openat(parent, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (named ? 0 : O_NOFOLLOW));
	if (fd < 0)
		fail(store, "enter", entry->name);
	while (store_next(store, fd, depth + 1))
		;
	if (fchmod(fd, entry->mode) != 0)
		fail(store, "set the mode of", entry->name);
	set_times(fd, entry);
	close(fd);
}

/* The folder in which the thing goes, and its name there when that is not its own. */
static int find_place(const struct store *store, char *path, char **as)
{
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*as = NULL;
	if (folder >= 0)
		return folder;
	if ((errno != ENOENT && errno != ENOTDIR) || path[0] == 0 || path[strlen(path) - 1] == '/')
		fail(store, "enter", path);
	char *slash = strrchr(path, '/');
	*as = slash == NULL ? path : slash + 1;
	if (slash != NULL)
		*slash = 0;
	const char *parent = slash == NULL ? "." : slash == path ? "/" : path;
	folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		fail(store, "enter", parent);
	return folder;
}

void tree_store(struct connection *connection, const char *path)
{
	struct store store = { .connection = connection, .path = path };
	char *as, *place = strdup(path);
	umask(022);
	int folder = find_place(&store, place, &as);
	struct frame frame = await(&store);
	if (frame.type == FRAME_LINK)
		store_link(&store, folder, &frame, as);
	else if (frame.type == FRAME_REGULAR || frame.type == FRAME_FOLDER) {
		struct entry entry = entry_of(&store, &frame);
		int named = as != NULL;
		if (named)
			entry.name = as;
		if (frame.type == FRAME_REGULAR)
			store_file(&store, folder, &entry, 1);
		else
			store_folder(&store, folder, &entry, named, 0);
	} else
		broken(&store);
	connection_end(connection, FRAME_DONE, NULL, 0);
}
