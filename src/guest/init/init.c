/*
 * Process 1 of our small initial RAM disk: loads the modules of /modules/order, waits for the root
 * disk, loads those of its file system, mounts it and hands over to its init. Static, no shell, one process.
 *
 * Command line: root=/dev/vda or root=serial:NAME, ro or rw, rootfstype=, rootflags=, init=,
 * rootdelay= (seconds to wait for the disk, 10 when not given). With overlay=, a disk as root= has it, the root is only
 * read, and what is written goes there: an ext4 file system, of which we make folders, and which grows with its disk.
 *
 * It is also process 1 of a device VM's image (serve.c).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
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
__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
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

/* Loads the modules of a list, which need not be there: a kernel may have everything built in. */
static void load_modules(const char *list)
{
	char line[NAME], path[NAME + 16];
	FILE *order = fopen(list, "r");
	if (order == NULL)
		return;
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

static void find_disk(const char *what, const char *root, char *device)
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
	fail("the %s disk, %s, did not appear within %d s", what, root, seconds);
}

/* File systems by what their superblock says, each with where that is. */
static const struct {
	const char *type, *magic;
	unsigned offset, length;
} known[] = {
	{ "ext4", "\x53\xef", 1080, 2 },
	{ "erofs", "\xe2\xe1\xf5\xe0", 1024, 4 },
	{ "squashfs", "hsqs", 0, 4 },
	{ "btrfs", "_BHRfS_M", 65600, 8 },
	{ "xfs", "XFSB", 0, 4 },
};

static const char *recognise(const char *device)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("cannot read %s: %s", device, strerror(errno));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char found[8];
		ssize_t length = pread(fd, found, known[i].length, known[i].offset);
		if (length == (ssize_t)known[i].length && memcmp(found, known[i].magic, length) == 0) {
			close(fd);
			return known[i].type;
		}
	}
	fail("%s holds none of the file systems that can be a root: ext4, erofs, squashfs, btrfs, xfs", device);
}

static void mount_disk(const char *device, const char *target, int readonly, const char *flags)
{
	char list[NAME];
	const char *type = option("rootfstype");
	if (type == NULL)
		type = recognise(device);
	snprintf(list, sizeof(list), "/modules/%s.order", type);
	load_modules(list);
	if (mount(device, target, type, readonly ? MS_RDONLY : 0, flags) == 0)
		return;
	if (errno == EACCES)
		fail("cannot mount %s to write: the disk is read-only. Say ro instead of rw", device);
	if (errno == ENODEV)
		fail("cannot mount %s: it is %s, for which this kernel or initrd has no module. "
		     "Give an initrd of your own", device, type);
	fail("cannot mount %s as %s: %s", device, type, strerror(errno));
}

/* _IOW('f', 16, __u64) of fs/ext4/ext4.h. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, __u64)

/* s_blocks_count_lo and _hi of struct ext4_super_block, which begins at 1024. */
enum { BLOCKS_LOW = 1028, BLOCKS_HIGH = 1360, BLOCK = 4096 };

/* Lets a file system have all of its disk; where it cannot, it stays as it is. */
static void grow(const char *device, const char *folder)
{
	__u32 low = 0, high = 0;
	__u64 bytes = 0, blocks;
	int disk = open(device, O_RDONLY | O_CLOEXEC), top = open(folder, O_RDONLY | O_CLOEXEC);
	if (ioctl(disk, BLKGETSIZE64, &bytes) == 0 && pread(disk, &low, sizeof(low), BLOCKS_LOW) == sizeof(low) &&
	    pread(disk, &high, sizeof(high), BLOCKS_HIGH) == sizeof(high)) {
		blocks = bytes / BLOCK;
		if (blocks > ((__u64)high << 32 | low) && ioctl(top, EXT4_IOC_RESIZE_FS, &blocks) != 0)
			fprintf(stderr, "spectrum-init: the overlay cannot grow: %s\n", strerror(errno));
	}
	close(disk);
	close(top);
}

/* The root is what is on one disk, with what was written on the other in front of it. */
static void mount_layers(const char *base, const char *overlay)
{
	mkdir("/base", 0755), mkdir("/overlay", 0755);
	mount_disk(base, "/base", 1, option("rootflags"));
	/* The disk held nothing but zeros when the file system was made, tables of inodes included. */
	mount_disk(overlay, "/overlay", 0, "noinit_itable");
	grow(overlay, "/overlay");
	if ((mkdir("/overlay/upper", 0755) != 0 && errno != EEXIST) ||
	    (mkdir("/overlay/work", 0755) != 0 && errno != EEXIST))
		fail("cannot write to %s: %s", overlay, strerror(errno));
	load_modules("/modules/overlay.order");
	if (mount("overlay", "/root", "overlay", 0,
		  "lowerdir=/base,upperdir=/overlay/upper,workdir=/overlay/work,redirect_dir=on,xino=auto") != 0)
		fail("cannot mount what is on %s in front of %s: %s", overlay, base, strerror(errno));
}

static void become(char *path)
{
	char *argv[] = { path, NULL };
	char *environment[] = { "HOME=/", "TERM=linux", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	execve(path, argv, environment);
}

#include "serve.c"
#include "start_agent.c"

int main(void)
{
	static char *const usual[] = { "/sbin/init", "/etc/init", "/bin/init", "/bin/sh" };
	char device[NAME] = "", overlay[NAME] = "", *init;

	if (access(COMMAND, F_OK) == 0)
		serve();
	mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755), mkdir("/root", 0755);
	mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	read_text("/proc/cmdline", cmdline, sizeof(cmdline));
	load_modules("/modules/order");

	const char *root = option("root"), *written = option("overlay");
	if (root == NULL)
		fail("the command line does not say which disk is the root: root=/dev/vda");
	find_disk("root", root, device);
	if (written != NULL) {
		find_disk("overlay", written, overlay);
		mount_layers(device, overlay);
	} else {
		mount_disk(device, "/root", read_only(), option("rootflags"));
	}

	int agent = open_agent();
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

	start_agent(agent);
	if ((init = option("init")) != NULL) {
		become(init);
		fail("cannot run %s of %s: %s", init, device, strerror(errno));
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		become(usual[i]);
	fail("%s has no init: none of /sbin/init, /etc/init, /bin/init, /bin/sh can be run", device);
}
