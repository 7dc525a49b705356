#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>
#include "machine.h"

/* For how long processes may end by themselves where no init takes care of that, in seconds. */
enum { GRACE_S = 3 };

/* A clock that is less wrong is left to whoever else keeps it, in milliseconds. */
enum { CLOCK_TOLERANCE_MS = 50 };

/* How often we look at init, and how long before we take it for what it is, and for how long at the most. */
enum { LOOK_US = 20000, SETTLE_LOOKS = 1000000 / LOOK_US, MAX_LOOKS = 60 * SETTLE_LOOKS };

static int init_is(const char *name)
{
	char target[256];
	ssize_t length = readlink("/proc/1/exe", target, sizeof(target) - 1);
	if (length <= 0)
		return 0;
	target[length] = 0;
	const char *slash = strrchr(target, '/');
	return strcmp(slash == NULL ? target : slash + 1, name) == 0;
}

void wait_for_init(void)
{
	/* The init of our initial RAM disk is /init, and so may another be. */
	for (int looks = 0; init_is("init") && looks < SETTLE_LOOKS; looks++)
		usleep(LOOK_US);
	for (int looks = 0; init_is("systemd") && access("/run/systemd/private", F_OK) != 0 && looks < MAX_LOOKS; looks++)
		usleep(LOOK_US);
}

void power_off(struct connection *connection)
{
	/* Said before: nobody is there to say it afterwards. */
	connection_put(connection, FRAME_DONE, NULL, 0);
	connection_flush_all(connection);
	/* systemd(1), "Signals": start poweroff.target. */
	if (access("/run/systemd/system", F_OK) == 0 && kill(1, SIGRTMIN + 4) == 0)
		connection_end(connection, FRAME_DONE, NULL, 0);
	/* busybox init: SIGUSR2 is to power off. Only where it is that: elsewhere the signal may mean anything. */
	if (init_is("busybox") && access("/etc/inittab", F_OK) == 0 && kill(1, SIGUSR2) == 0)
		connection_end(connection, FRAME_DONE, NULL, 0);
	kill(-1, SIGTERM);
	sleep(GRACE_S);
	sync();
	reboot(RB_POWER_OFF);
	connection_fail(connection, 125, "The guest cannot power off: %s.", strerror(errno));
}

void set_clock(struct connection *connection, uint64_t seconds, uint32_t nanoseconds)
{
	struct timespec now, wanted = { .tv_sec = seconds, .tv_nsec = nanoseconds };
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t off = (int64_t)(wanted.tv_sec - now.tv_sec) * 1000 + (wanted.tv_nsec - now.tv_nsec) / 1000000;
	if ((off < -CLOCK_TOLERANCE_MS || off > CLOCK_TOLERANCE_MS) && clock_settime(CLOCK_REALTIME, &wanted) != 0)
		connection_fail(connection, 125, "The guest's clock cannot be set: %s.", strerror(errno));
	connection_end(connection, FRAME_DONE, NULL, 0);
}
