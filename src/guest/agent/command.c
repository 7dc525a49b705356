#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "command.h"
#include "terminal.h"
#include "user.h"

/* For how long a command that was hung up may go on, and how often we look, in microseconds. */
enum { GRACE_US = 5000000, LOOK_US = 20000 };

/* What was wrong before the command ran. */
enum stage { STAGE_TERMINAL, STAGE_USER, STAGE_DIRECTORY, STAGE_EXECUTE };
struct trouble {
	enum stage stage;
	int error;
};

/* Whether a variable of that name is among them. */
static const char *variable(const struct request *request, const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < request->variable_count; i++)
		if (strncmp(request->variables[i], name, length) == 0 && request->variables[i][length] == '=')
			return request->variables[i] + length + 1;
	return NULL;
}

static void set_variable(const char *name, const char *value, const struct request *request)
{
	if (variable(request, name) == NULL && value[0] != 0)
		setenv(name, value, 1);
}

/* The request's variables, and those that every program expects. */
static void set_environment(const struct request *request, const struct user *user)
{
	const char *name = user->name[0] == 0 && user->uid == 0 ? "root" : user->name;
	clearenv();
	for (size_t i = 0; i < request->variable_count; i++)
		putenv(request->variables[i]);
	set_variable("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", request);
	set_variable("HOME", user->home[0] == 0 ? "/" : user->home, request);
	set_variable("USER", name, request);
	set_variable("LOGNAME", name, request);
	set_variable("SHELL", user->shell[0] == 0 ? "/bin/sh" : user->shell, request);
	if (request->has_terminal)
		set_variable("TERM", "linux", request);
}

/* The child: only what fails comes back. */
static struct trouble become(const struct request *request, const struct user *user, const int *ends)
{
	sigset_t none;
	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	setsid();
	for (int i = 0; i < 3; i++)
		if (dup2(ends[i], i) < 0)
			return (struct trouble){ STAGE_TERMINAL, errno };
	if (request->has_terminal && ioctl(0, TIOCSCTTY, 0) != 0)
		return (struct trouble){ STAGE_TERMINAL, errno };
	if (become_user(user) != 0)
		return (struct trouble){ STAGE_USER, errno };
	set_environment(request, user);
	if (request->directory != NULL) {
		if (chdir(request->directory) != 0)
			return (struct trouble){ STAGE_DIRECTORY, errno };
	} else if (chdir(user->home) != 0 && chdir("/") != 0)
		return (struct trouble){ STAGE_DIRECTORY, errno };
	execvp(request->arguments[0], request->arguments);
	return (struct trouble){ STAGE_EXECUTE, errno };
}

__attribute__((noreturn)) static void report(struct trouble trouble, const struct request *request,
	struct connection *connection)
{
	const char *reason = strerror(trouble.error);
	switch (trouble.stage) {
	case STAGE_TERMINAL:
		connection_fail(connection, 125, "The guest has no terminal for the command: %s.", reason);
	case STAGE_USER:
		connection_fail(connection, 125, "The agent cannot become the user %s: %s.", request->user, reason);
	case STAGE_DIRECTORY:
		connection_fail(connection, 125, "Cannot enter %s in the guest: %s.",
			request->directory == NULL ? "/" : request->directory, reason);
	case STAGE_EXECUTE:
		if (trouble.error == ENOENT)
			connection_fail(connection, 127, "There is no command %s in the guest.", request->arguments[0]);
		connection_fail(connection, 126, "Cannot run %s in the guest: %s.", request->arguments[0], reason);
	}
	_exit(1);
}

/* A pipe of which one end is the command's and the other ours, which does not block. */
static void make_pipe(int *ours, int *theirs, int our_end, struct connection *connection)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		connection_fail(connection, 125, "The guest has no pipe for the command: %s.", strerror(errno));
	*ours = ends[our_end];
	*theirs = ends[1 - our_end];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
}

static void make_streams(struct command *command, const struct request *request, int *theirs,
	struct connection *connection)
{
	command->has_terminal = request->has_terminal;
	if (!request->has_terminal) {
		make_pipe(&command->input, &theirs[0], 1, connection);
		make_pipe(&command->output, &theirs[1], 0, connection);
		make_pipe(&command->errors, &theirs[2], 0, connection);
		return;
	}
	int slave, master = terminal_open(request->rows, request->columns, &slave);
	if (master < 0)
		report((struct trouble){ STAGE_TERMINAL, errno }, request, connection);
	command->input = command->output = master;
	command->errors = -1;
	theirs[0] = theirs[1] = theirs[2] = slave;
}

void command_start(struct command *command, struct request *request, struct connection *connection)
{
	int theirs[3], told[2];
	struct user user;
	struct trouble trouble;
	const char *missing = find_user(&user, request->user);
	if (missing != NULL)
		connection_fail(connection, 125, "There is no such %s in the guest: %s.", missing, request->user);
	if (user.change && user.uid == getuid() && user.gid == getgid() && user.uid != 0)
		user.change = 0;
	make_streams(command, request, theirs, connection);
	if (pipe2(told, O_CLOEXEC) != 0 || (command->pid = fork()) < 0)
		connection_fail(connection, 125, "The guest has no process for the command: %s.", strerror(errno));
	if (command->pid == 0) {
		trouble = become(request, &user, theirs);
		if (write(told[1], &trouble, sizeof(trouble)) < 0)
			_exit(126);
		_exit(127);
	}
	close(told[1]);
	close(theirs[0]);
	if (!request->has_terminal)
		close(theirs[1]), close(theirs[2]);
	ssize_t count;
	do
		count = read(told[0], &trouble, sizeof(trouble));
	while (count < 0 && errno == EINTR);
	close(told[0]);
	if (count != sizeof(trouble))
		return;
	waitpid(command->pid, NULL, 0);
	report(trouble, request, connection);
}

void command_signal(const struct command *command, int signal)
{
	pid_t foreground;
	if (signal <= 0 || signal >= NSIG)
		return;
	if (command->has_terminal && ioctl(command->output, TIOCGPGRP, &foreground) == 0 && foreground > 0)
		kill(-foreground, signal);
	else
		kill(-command->pid, signal);
}

/* Sends a signal (none: 0) to each live process of a session, and returns how many there are; -1 when nobody can tell. */
static int signal_session(pid_t session, int signal)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	int count = 0, known = 0;
	while (processes != NULL && (entry = readdir(processes)) != NULL) {
		char path[300], text[512];
		pid_t pid = atoi(entry->d_name);
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			continue;
		ssize_t length = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[length < 0 ? 0 : length] = 0;
		/* Behind the name, which is in parentheses and may hold anything: state, parent, group, session. */
		char *at = strrchr(text, ')');
		if (at == NULL || at[1] == 0)
			continue;
		char state = at[2];
		at += 3;
		strtol(at, &at, 10);
		strtol(at, &at, 10);
		known = 1;
		if (strtol(at, NULL, 10) != session || state == 'Z' || state == 'X')
			continue;
		count++;
		if (signal != 0)
			kill(pid, signal);
	}
	if (processes != NULL)
		closedir(processes);
	return known ? count : -1;
}

/* Whether the leader has ended; it is not reaped, so that its number stays the session's. */
static int leader_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };
	return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

void command_hang_up(struct command *command)
{
	command_signal(command, SIGHUP);
	command_signal(command, SIGCONT);
	/* A terminal that is closed hangs up, too; who writes to a pipe that nobody reads ends. */
	if (command->input >= 0)
		close(command->input);
	if (command->output >= 0 && command->output != command->input)
		close(command->output);
	if (command->errors >= 0)
		close(command->errors);
	for (int waited = 0; waited < GRACE_US; waited += LOOK_US) {
		int left = signal_session(command->pid, 0);
		if (left < 0 ? leader_ended(command->pid) : left == 0)
			break;
		usleep(LOOK_US);
	}
	if (signal_session(command->pid, SIGKILL) < 0)
		kill(-command->pid, SIGKILL);
	waitpid(command->pid, NULL, 0);
}
