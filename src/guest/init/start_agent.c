/*
 * Starts the agent that runs the host's commands (src/guest/agent), where there is a socket device to reach it by. It has
 * the root that we make, and stays when we become another program.
 */
static const char AGENT[] = "/agent", TRANSPORT[] = "/modules/vmw_vsock_virtio_transport.order";

/* Virtio device ids, as sysfs prints them. */
#define VSOCK_DEVICE "0x0013"

static int has_vsock(void)
{
	DIR *directory = opendir("/sys/bus/virtio/devices");
	struct dirent *entry;
	int found = 0;
	while (!found && directory != NULL && (entry = readdir(directory)) != NULL) {
		char path[NAME * 2], id[NAME];
		snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/device", entry->d_name);
		read_text(path, id, sizeof(id));
		found = strcmp(id, VSOCK_DEVICE) == 0;
	}
	if (directory != NULL)
		closedir(directory);
	return found;
}

/* The program, which has no path once there is another root; -1 when there is no use for it. */
static int open_agent(void)
{
	if (!has_vsock())
		return -1;
	load_modules(TRANSPORT);
	return open(AGENT, O_RDONLY | O_CLOEXEC);
}

static void start_agent(int program)
{
	char *argv[] = { "spectrum-agent", NULL }, *environment[] = { NULL };
	if (program < 0)
		return;
	pid_t child = fork();
	if (child != 0) {
		close(program);
		if (child < 0)
			fprintf(stderr, "spectrum-init: cannot start the agent: %s\n", strerror(errno));
		return;
	}
	setsid();
	/* Not the console, which others hang up. */
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC), messages = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (nowhere >= 0)
		dup2(nowhere, 0), dup2(nowhere, 1), dup2(messages < 0 ? nowhere : messages, 2);
	fexecve(program, argv, environment);
	fprintf(stderr, "spectrum-init: cannot run the agent: %s\n", strerror(errno));
	_exit(1);
}
