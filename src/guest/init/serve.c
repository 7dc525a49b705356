/*
 * Process 1 of the image of a VM that provides devices: runs the program that /etc/spectrum/command names,
 * an argument a line, again whenever that fails, and powers off when it ends well.
 */
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

static const char COMMAND[] = "/etc/spectrum/command";
enum { MOST_ARGUMENTS = 64, PAUSE_US = 1000000 };

static void set_time(const char *name)
{
	char text[32];
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	snprintf(text, sizeof(text), "%lld", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	setenv(name, text, 1);
}

/* A megabyte at once: what is read of this image is large, and each request is dear. */
static void read_ahead(void)
{
	struct stat root;
	char path[NAME];
	if (stat("/", &root) != 0)
		return;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/read_ahead_kb", major(root.st_dev), minor(root.st_dev));
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "1024", 4) != 4)
			perror("spectrum-init: read-ahead");
		close(fd);
	}
}

/* Splits the command's text in place. */
static void split(char *text, char **arguments)
{
	int count = 0;
	for (char *word = strtok(text, "\n"); word != NULL && count < MOST_ARGUMENTS - 1; word = strtok(NULL, "\n"))
		arguments[count++] = word;
	arguments[count] = NULL;
	if (count == 0)
		fail("%s names no program", COMMAND);
}

static int run(char **arguments)
{
	int status;
	set_time("SPECTRUM_RUNTIME_MS");
	pid_t child = fork();
	if (child == 0) {
		execv(arguments[0], arguments);
		fprintf(stderr, "spectrum-init: cannot run %s: %s\n", arguments[0], strerror(errno));
		_exit(127);
	}
	if (child < 0)
		return -1;
	/* Whatever else ends is an orphan. */
	for (pid_t ended; (ended = wait(&status)) != child;)
		if (ended < 0 && errno != EINTR)
			return -1;
	return status;
}

__attribute__((noreturn)) static void serve(void)
{
	static char text[TEXT];
	char *arguments[MOST_ARGUMENTS];
	int fd = open(COMMAND, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		fail("cannot read %s: %s", COMMAND, strerror(errno));
	close(fd);
	split(text, arguments);

	set_time("SPECTRUM_INIT_MS");
	mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755");
	read_ahead();
	setenv("HOME", "/tmp", 1);
	setenv("PATH", "/usr/bin", 1);
	setenv("XDG_RUNTIME_DIR", "/run", 1);
	setenv("DENO_DIR", "/dev/null/deno", 1);
	setenv("DENO_NO_UPDATE_CHECK", "1", 1);
	setenv("NO_COLOR", "1", 1);
	for (int status; (status = run(arguments)) != 0; usleep(PAUSE_US))
		fprintf(stderr, "spectrum-init: %s ended by %s %d and is started again\n", arguments[0],
			WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	sync();
	reboot(RB_POWER_OFF);
	fail("cannot power off: %s", strerror(errno));
}
