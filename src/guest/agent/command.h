/* A command of the host's, and what becomes of it. */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdint.h>
#include <sys/types.h>
#include "request.h"

struct command {
	/* Leader of a session and a process group of its own. */
	pid_t pid;
	/* Our ends, not blocking. With a terminal all of them are that; otherwise pipes. -1 when closed. */
	int input, output, errors;
	int has_terminal;
};

/* Starts the request's command. Ends the process by connection_fail when that cannot be done. */
void command_start(struct command *command, struct request *request, struct connection *connection);
/* Sends a signal: to who is in the foreground of its terminal, else to its process group. */
void command_signal(const struct command *command, int signal);
/* Ends all that is left of it, SIGHUP first, and reaps it. */
void command_hang_up(struct command *command);

#endif
