/*
 * Process 1 of our small initial RAM disk: loads the modules of /modules/order, waits for the root
 * disk, mounts it and hands over to its init. Static, no shell, one process.
 *
 * Command line: root=/dev/vda or root=serial:NAME, ro or rw, rootfstype=, rootflags=, init=,
 * rootdelay= (seconds to wait for the disk, 10 when not given).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

enum { TEXT = 4096, NAME = 256 };

static char cmdline[TEXT];

/* pvpanic (QEMU docs/specs/pvpanic): reading tells which events it takes, writing reports one. */
enum { PVPANIC_PORT = 0x505, PVPANIC_PANICKED = 1, NO_DEVICE = 0xff };

/*
 * Ends as the guest's failure. Where the monitor can be told, it is, and our message stays the last
 * one; elsewhere the end of process 1 makes the kernel panic, with all that it prints then.
 */
static void fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("spectrum-init: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	tcdrain(2);
	if (ioperm(PVPANIC_PORT, 1, 1) == 0) {
		unsigned char events = inb(PVPANIC_PORT);
		if (events != NO_DEVICE && (events & PVPANIC_PANICKED) != 0) {
			outb(PVPANIC_PANICKED, PVPANIC_PORT);
			reboot(RB_POWER_OFF);
		}
	}
	_exit(1);
}

static size_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	if (length < 0)
		length = 0;
	text[length] = 0;
	text[strcspn(text, "\n")] = 0;
	return length;
}

/* The value of the last `key=value` on the command line, or NULL. */
static char *option(const char *key)
{
	static char values[16][TEXT];
	static int used;
	size_t length = strlen(key);
	char *found = NULL;
	for (char *at = cmdline; *at != 0;) {
		size_t word = strcspn(at, " ");
		if (strncmp(at, key, length) == 0 && at[length] == '=' && word > length) {
			if (found == NULL)
				found = values[used++ % 16];
			memcpy(found, at + length + 1, word - length - 1);
			found[word - length - 1] = 0;
		}
		at += word;
		at += strspn(at, " ");
	}
	return found;
}

/* Whether the last of the words `ro` and `rw` is `ro`; without either it is. */
static int read_only(void)
{
	int result = 1;
	for (char *at = cmdline; *at != 0;) {
		size_t word = strcspn(at, " ");
		if (word == 2 && at[0] == 'r' && (at[1] == 'o' || at[1] == 'w'))
			result = at[1] == 'o';
		at += word;
		at += strspn(at, " ");
	}
	return result;
}

static void load_modules(void)
{
	char line[NAME], path[NAME + 16];
	FILE *order = fopen("/modules/order", "r");
	if (order == NULL)
		return; /* a kernel that has everything built in */
	while (fgets(line, sizeof(line), order) != NULL) {
		line[strcspn(line, "\n")] = 0;
		snprintf(path, sizeof(path), "/modules/%s", line);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
			fprintf(stderr, "spectrum-init: cannot load %s: %s\n", line, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	fclose(order);
}

/* Calls `visit` with the name of each block device until it returns non-zero, and returns that. */
static int each_disk(int (*visit)(const char *name, void *context), void *context)
{
	DIR *directory = opendir("/sys/class/block");
	struct dirent *entry;
	int result = 0;
	while (result == 0 && directory != NULL && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			result = visit(entry->d_name, context);
	if (directory != NULL)
		closedir(directory);
	return result;
}

struct search {
	const char *serial;
	char *device;
};

static int has_serial(const char *name, void *context)
{
	struct search *search = context;
	char path[NAME * 2], serial[NAME];
	snprintf(path, sizeof(path), "/sys/class/block/%s/serial", name);
	if (read_text(path, serial, sizeof(serial)) == 0 || strcmp(serial, search->serial) != 0)
		return 0;
	snprintf(search->device, NAME, "/dev/%s", name);
	return 1;
}

static int print_disk(const char *name, void *context)
{
	(void)context;
	char path[NAME * 2], serial[NAME], size[NAME];
	snprintf(path, sizeof(path), "/sys/class/block/%s/serial", name);
	read_text(path, serial, sizeof(serial));
	snprintf(path, sizeof(path), "/sys/class/block/%s/size", name);
	read_text(path, size, sizeof(size));
	fprintf(stderr, "  /dev/%s, %s sectors%s%s\n", name, size, serial[0] ? ", serial " : "", serial);
	return 0;
}

static void find_root(const char *root, char *device)
{
	const char *prefix = "serial:";
	const char *delay = option("rootdelay");
	int seconds = delay == NULL ? 10 : atoi(delay);
	for (int attempt = 0; attempt <= seconds * 100; attempt++) {
		struct stat status;
		if (strncmp(root, prefix, strlen(prefix)) == 0) {
			struct search search = { .serial = root + strlen(prefix), .device = device };
			if (each_disk(has_serial, &search))
				return;
		} else {
			snprintf(device, NAME, "%s", root);
			if (stat(device, &status) == 0 && S_ISBLK(status.st_mode))
				return;
		}
		usleep(10000);
	}
	fputs("spectrum-init: the disks that there are:\n", stderr);
	each_disk(print_disk, NULL);
	fail("the root disk, %s, did not appear within %d s", root, seconds);
}

static void cannot_mount(const char *device, const char *type)
{
	if (errno == EACCES)
		fail("cannot mount %s to write: the disk is read-only. Say ro instead of rw", device);
	fail("cannot mount %s as %s: %s", device, type, strerror(errno));
}

/* Tries one after the other of the kernel's types that need a disk; says which were tried. */
static int mount_any(const char *device, int old, char *tried)
{
	FILE *types = fopen("/proc/filesystems", "r");
	char line[NAME];
	int done = 0;
	while (!done && types != NULL && fgets(line, sizeof(line), types) != NULL) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] != '\t') /* "nodev" */
			continue;
		/* ext4 disks are not to be taken for their ancestors. */
		if ((strcmp(line + 1, "ext2") == 0 || strcmp(line + 1, "ext3") == 0) != old)
			continue;
		done = mount(device, "/root", line + 1, read_only() ? MS_RDONLY : 0, option("rootflags")) == 0;
		/* EINVAL: not of this type. Anything else is about the disk itself. */
		if (!done && errno != EINVAL)
			cannot_mount(device, line + 1);
		if (strlen(tried) + strlen(line) + 1 < TEXT)
			strcat(strcat(tried, " "), line + 1);
	}
	if (types != NULL)
		fclose(types);
	return done;
}

static void mount_root(const char *device)
{
	char tried[TEXT] = "";
	const char *wanted = option("rootfstype");
	if (wanted != NULL) {
		if (mount(device, "/root", wanted, read_only() ? MS_RDONLY : 0, option("rootflags")) != 0)
			cannot_mount(device, wanted);
	} else if (!mount_any(device, 0, tried) && !mount_any(device, 1, tried)) {
		fail("%s holds no file system that this kernel knows (tried:%s)", device, tried);
	}
}

static void become(char *path)
{
	char *argv[] = { path, NULL };
	char *environment[] = { "HOME=/", "TERM=linux", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	execve(path, argv, environment);
}

int main(void)
{
	static char *const usual[] = { "/sbin/init", "/etc/init", "/bin/init", "/bin/sh" };
	char device[NAME] = "", *init;

	mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755), mkdir("/root", 0755);
	mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	read_text("/proc/cmdline", cmdline, sizeof(cmdline));
	load_modules();

	const char *root = option("root");
	if (root == NULL)
		fail("the command line does not say which disk is the root: root=/dev/vda");
	find_root(root, device);
	mount_root(device);

	/* What is on top of them is the new root's from now on; a root without the folders does without. */
	const char *moved[] = { "/dev", "/proc", "/sys" };
	for (int i = 0; i < 3; i++) {
		char target[NAME];
		snprintf(target, sizeof(target), "/root%s", moved[i]);
		if (mount(moved[i], target, NULL, MS_MOVE, NULL) != 0)
			fprintf(stderr, "spectrum-init: %s has no folder %s\n", device, moved[i]);
	}
	if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
		fail("cannot make %s the root: %s", device, strerror(errno));

	if ((init = option("init")) != NULL) {
		become(init);
		fail("cannot run %s of %s: %s", init, device, strerror(errno));
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		become(usual[i]);
	fail("%s has no init: none of /sbin/init, /etc/init, /bin/init, /bin/sh can be run", device);
}
