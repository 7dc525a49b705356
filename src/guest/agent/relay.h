/* What goes to and fro between the host and a command. */
#ifndef RELAY_H
#define RELAY_H

#include "command.h"

/* Runs the request's command until it has ended or the host is gone, and ends the process. */
__attribute__((noreturn)) void relay(struct connection *connection, struct request *request, uint32_t output_credit,
	uint32_t errors_credit);

#endif
