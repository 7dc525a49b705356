/*
 * From the initial RAM disk to the lab host's root file system: loads modules, stacks the disks into
 * one root, mounts what programs expect. In C and in one process, since every fork costs some ten
 * milliseconds in the emulation.
 */
#define _GNU_SOURCE
#include "boot.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { USER_ID = 1000, KVM_GROUP = 104, MAX_LAYERS = 16 };

static void complain(const char *what, const char *subject)
{
	fprintf(stderr, "lab: cannot %s %s: %s\n", what, subject, strerror(errno));
}

static void must(int result, const char *what, const char *subject)
{
	if (result >= 0)
		return;
	complain(what, subject);
	exit(1); /* process 1: the kernel panics, and the host sees why */
}

static void mount_at(const char *type, const char *path, const char *options)
{
	mkdir(path, 0755);
	must(mount(type, path, type, 0, options), "mount", path);
}

/*
 * KVM keeps the rate of the TSC that it finds when it is loaded. Linux measures it again a second into the boot, and
 * where that differs, KVM's guests get a TSC that stands still, and no timer interrupts.
 */
static void await_clock(void)
{
	char name[16] = "";
	for (int tries = 0; tries < 500 && strncmp(name, "tsc\n", 4) != 0; tries++) {
		usleep(10000);
		int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
		(void)!read(fd, name, sizeof(name));
		close(fd);
	}
	if (strncmp(name, "tsc\n", 4) != 0)
		fprintf(stderr, "lab: the TSC did not become the clock; timers of guests may fail\n");
}

static void load_modules(void)
{
	char line[256], path[300];
	FILE *order = fopen("/modules/order", "r");
	must(order == NULL ? -1 : 0, "open", "/modules/order");
	while (fgets(line, sizeof(line), order) != NULL) {
		line[strcspn(line, "\n")] = 0;
		snprintf(path, sizeof(path), "/modules/%s", line);
		if (strstr(line, "/kvm/") != NULL)
			await_clock();
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		must(fd, "open", path);
		/* A missing device (no SVM, say) is for the tests to report. */
		if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)
			complain("load", path);
		close(fd);
	}
	fclose(order);
}

/* Number behind `lab.disks=` on the command line. */
static int wanted_disks(void)
{
	char text[4096] = "";
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	const char *found = strstr(text, "lab.disks=");
	return found == NULL ? 0 : atoi(found + strlen("lab.disks="));
}

/* Serials of the virtio disks, vda first; those that are not there are empty. Returns how many are. */
static int read_serials(char serials[26][32])
{
	int count = 0;
	for (int i = 0; i < 26; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/sys/block/vd%c/serial", 'a' + i);
		memset(serials[i], 0, sizeof(serials[i]));
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		(void)!read(fd, serials[i], sizeof(serials[i]) - 1);
		serials[i][strcspn(serials[i], "\n")] = 0;
		close(fd);
		count++;
	}
	return count;
}

static void mount_disks(void)
{
	char serials[26][32], lower[1024] = "", options[1200], device[16], scratch[16] = "";
	int wanted = wanted_disks();
	for (int attempt = 0; read_serials(serials) < wanted && attempt < 1000; attempt++)
		usleep(10000);
	mkdir("/layers", 0755);
	/* The highest layer comes first in overlayfs' list. */
	for (int layer = MAX_LAYERS; layer >= 0; layer--) {
		char name[16], path[32];
		snprintf(name, sizeof(name), "layer%d", layer);
		for (int i = 0; i < 26; i++) {
			snprintf(device, sizeof(device), "/dev/vd%c", 'a' + i);
			if (strcmp(serials[i], "scratch") == 0)
				strcpy(scratch, device);
			if (strcmp(serials[i], name) != 0)
				continue;
			snprintf(path, sizeof(path), "/layers/%s", name);
			mkdir(path, 0755);
			must(mount(device, path, "ext4", MS_RDONLY | MS_NOATIME, NULL), "mount", device);
			if (lower[0] != 0)
				strcat(lower, ":");
			strcat(lower, path);
		}
	}
	mount_at("tmpfs", "/upper", "mode=0755");
	mkdir("/upper/data", 0755);
	mkdir("/upper/work", 0755);
	mkdir("/new", 0755);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=/upper/data,workdir=/upper/work", lower);
	must(mount("root", "/new", "overlay", 0, options), "mount the layers", lower);
	if (scratch[0] != 0) {
		must(mount(scratch, "/new/scratch", "ext4", MS_NOATIME, NULL), "mount", scratch);
		chmod("/new/scratch", 01777);
	}
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		complain("bring up", "lo");
	close(fd);
}

/* `/modules/version` has two lines: the kernel's version and where its modules are in the new root. */
static void link_modules(void)
{
	char version[128], target[512], path[200];
	FILE *file = fopen("/modules/version", "r");
	if (file == NULL || fgets(version, sizeof(version), file) == NULL || fgets(target, sizeof(target), file) == NULL)
		return;
	fclose(file);
	version[strcspn(version, "\n")] = 0;
	target[strcspn(target, "\n")] = 0;
	mkdir("/new/usr/lib/modules", 0755);
	snprintf(path, sizeof(path), "/new/usr/lib/modules/%s", version);
	(void)!symlink(target, path);
}

void boot(void)
{
	umask(0);
	mount_at("proc", "/proc", NULL);
	mount_at("sysfs", "/sys", NULL);
	mount_at("devtmpfs", "/dev", NULL);
	load_modules();
	mount_disks();
	link_modules();

	must(chdir("/new"), "enter", "/new");
	must(mount("/proc", "proc", NULL, MS_MOVE, NULL), "move", "/proc");
	must(mount("/sys", "sys", NULL, MS_MOVE, NULL), "move", "/sys");
	must(mount("/dev", "dev", NULL, MS_MOVE, NULL), "move", "/dev");
	must(mount(".", "/", NULL, MS_MOVE, NULL), "move", "/new");
	must(chroot("."), "change into", "/new");
	must(chdir("/"), "enter", "/");

	mount_at("devpts", "/dev/pts", "ptmxmode=0666,mode=0620,gid=5");
	mount_at("tmpfs", "/dev/shm", "mode=1777");
	/* No file system of its own: what is brought along may come from the host's /tmp. */
	chmod("/tmp", 01777);
	mount_at("tmpfs", "/run", "mode=0755");
	mount_at("tmpfs", "/out", "mode=1777");
	mount_at("cgroup2", "/sys/fs/cgroup", NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	(void)!symlink("/proc/self/fd", "/dev/fd");
	(void)!symlink("/proc/self/fd/0", "/dev/stdin");
	(void)!symlink("/proc/self/fd/1", "/dev/stdout");
	(void)!symlink("/proc/self/fd/2", "/dev/stderr");
	mkdir("/run/user", 0755);
	mkdir("/run/user/0", 0700);
	mkdir("/run/user/1000", 0700);
	(void)!chown("/run/user/1000", USER_ID, USER_ID);
	static const char *const homes[] = { "/home/user", "/home/user/.cache", "/home/user/.cache/spectrum" };
	for (int i = 0; i < 3; i++)
		(void)!chown(homes[i], USER_ID, USER_ID);
	if (chown("/dev/kvm", 0, KVM_GROUP) == 0)
		chmod("/dev/kvm", 0660);
	chmod("/dev/ptmx", 0666);
	loopback_up();
	(void)!sethostname("lab", 3);
	umask(022);
}
