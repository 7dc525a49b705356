/* What the host asks for, word by word. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdint.h>
#include "connection.h"

enum { MAX_WORDS = 65536 };

struct request {
	/* Ended by NULL. */
	char **arguments, **variables;
	size_t argument_count, variable_count;
	char *user, *directory;
	int has_terminal;
	uint16_t rows, columns;
};

/* Takes one word of a request: 1, 0 when the frame is none, -1 when it is broken. */
int request_take(struct request *request, const struct frame *frame);

#endif
