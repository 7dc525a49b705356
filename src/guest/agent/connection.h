/* A connection to the host as frames. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stddef.h>
#include <stdint.h>
#include "protocol.h"

/* Room for what goes out: some frames of output, and small ones beside them. */
enum { OUT_SIZE = 4 * 65536 };

struct connection {
	int fd;
	size_t in_start, in_end, out_start, out_end;
	unsigned char in[HEADER_SIZE + MAX_PAYLOAD];
	unsigned char out[OUT_SIZE];
};

/* A frame that lies in the connection's buffer until the next one is taken. */
struct frame {
	uint32_t type, length;
	const unsigned char *payload;
};

/* What is left of a payload, or less when it is broken: take_… give 0 then and `bad` is set. */
struct cursor {
	const unsigned char *at;
	size_t left;
	int bad;
};

/* Reads what has come. 0 when the host has closed, -1 with EAGAIN when there is nothing yet. */
int connection_fill(struct connection *connection);
/* Takes the next frame: 1, 0 when more has to come first, -1 when it is longer than allowed. */
int connection_next(struct connection *connection, struct frame *frame);
/* Waits for the next frame. 0 when the host has closed or broken the protocol. */
int connection_await(struct connection *connection, struct frame *frame);

/* Bytes of payload that a frame may have now. */
size_t connection_room(const struct connection *connection);
/* Where the payload of the next frame is to be put, and sends it from there. */
unsigned char *connection_payload(struct connection *connection);
void connection_commit(struct connection *connection, uint32_t type, size_t length);
/* Puts a frame where there is room for it; ends the process otherwise. */
void connection_put(struct connection *connection, uint32_t type, const void *payload, size_t length);
/* Sends what can be sent. -1 when the host is gone. */
int connection_flush(struct connection *connection);
/* Sends all; waits for it. -1 when the host is gone. */
int connection_flush_all(struct connection *connection);

/* Says that a request failed, waits until the host has heard it, and ends the process. */
__attribute__((noreturn, format(printf, 3, 4))) void connection_fail(struct connection *connection, uint32_t status,
	const char *format, ...);
/* Sends a last frame, waits until the host has heard it, and ends the process. */
__attribute__((noreturn)) void connection_end(struct connection *connection, uint32_t type, const void *payload,
	size_t length);

struct cursor cursor_of(const struct frame *frame);
uint16_t take_u16(struct cursor *cursor);
uint32_t take_u32(struct cursor *cursor);
uint64_t take_u64(struct cursor *cursor);
/* The rest as a string of its own; NULL when there is a NUL in it. */
char *take_string(struct cursor *cursor);

#endif
