#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "connection.h"

int connection_fill(struct connection *connection)
{
	if (connection->in_start > 0) {
		connection->in_end -= connection->in_start;
		memmove(connection->in, connection->in + connection->in_start, connection->in_end);
		connection->in_start = 0;
	}
	ssize_t count;
	do
		count = recv(connection->fd, connection->in + connection->in_end, sizeof(connection->in) - connection->in_end, MSG_DONTWAIT);
	while (count < 0 && errno == EINTR);
	if (count > 0)
		connection->in_end += count;
	return count > 0 ? 1 : (int)count;
}

int connection_next(struct connection *connection, struct frame *frame)
{
	size_t have = connection->in_end - connection->in_start;
	if (have < HEADER_SIZE)
		return 0;
	const unsigned char *header = connection->in + connection->in_start;
	memcpy(&frame->length, header, 4);
	memcpy(&frame->type, header + 4, 4);
	if (frame->length > MAX_PAYLOAD)
		return -1;
	if (have < HEADER_SIZE + frame->length)
		return 0;
	frame->payload = header + HEADER_SIZE;
	connection->in_start += HEADER_SIZE + frame->length;
	return 1;
}

int connection_await(struct connection *connection, struct frame *frame)
{
	for (;;) {
		int taken = connection_next(connection, frame);
		if (taken != 0)
			return taken > 0;
		int filled = connection_fill(connection);
		if (filled == 0 || (filled < 0 && errno != EAGAIN))
			return 0;
		struct pollfd wait = { .fd = connection->fd, .events = POLLIN };
		if (filled < 0)
			poll(&wait, 1, -1);
	}
}

static void compact(struct connection *connection)
{
	if (connection->out_start == 0)
		return;
	connection->out_end -= connection->out_start;
	memmove(connection->out, connection->out + connection->out_start, connection->out_end);
	connection->out_start = 0;
}

size_t connection_room(const struct connection *connection)
{
	size_t used = connection->out_end - connection->out_start + HEADER_SIZE;
	return used >= OUT_SIZE ? 0 : OUT_SIZE - used;
}

unsigned char *connection_payload(struct connection *connection)
{
	compact(connection);
	return connection->out + connection->out_end + HEADER_SIZE;
}

void connection_commit(struct connection *connection, uint32_t type, size_t length)
{
	uint32_t header[2] = { length, type };
	memcpy(connection->out + connection->out_end, header, HEADER_SIZE);
	connection->out_end += HEADER_SIZE + length;
}

void connection_put(struct connection *connection, uint32_t type, const void *payload, size_t length)
{
	if (connection_room(connection) < length)
		_exit(1);
	unsigned char *at = connection_payload(connection);
	if (length > 0)
		memcpy(at, payload, length);
	connection_commit(connection, type, length);
}

int connection_flush(struct connection *connection)
{
	while (connection->out_start < connection->out_end) {
		ssize_t count = send(connection->fd, connection->out + connection->out_start,
			connection->out_end - connection->out_start, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno == EAGAIN ? 0 : -1;
		connection->out_start += count;
	}
	connection->out_start = connection->out_end = 0;
	return 0;
}

int connection_flush_all(struct connection *connection)
{
	for (;;) {
		if (connection_flush(connection) < 0)
			return -1;
		if (connection->out_end == 0)
			return 0;
		struct pollfd wait = { .fd = connection->fd, .events = POLLOUT };
		poll(&wait, 1, -1);
	}
}

void connection_end(struct connection *connection, uint32_t type, const void *payload, size_t length)
{
	if (connection_flush_all(connection) == 0) {
		connection_put(connection, type, payload, length);
		connection_flush_all(connection);
	}
	/* Closed with something unread, the connection would be reset, and what was said last with it. */
	shutdown(connection->fd, SHUT_WR);
	for (int filled;;) {
		connection->in_start = connection->in_end = 0;
		filled = connection_fill(connection);
		if (filled == 0 || (filled < 0 && errno != EAGAIN))
			_exit(0);
		struct pollfd wait = { .fd = connection->fd, .events = POLLIN };
		if (filled < 0)
			poll(&wait, 1, -1);
	}
}

void connection_fail(struct connection *connection, uint32_t status, const char *format, ...)
{
	char payload[4 + 1024];
	va_list args;
	va_start(args, format);
	memcpy(payload, &status, 4);
	int length = vsnprintf(payload + 4, sizeof(payload) - 4, format, args);
	va_end(args);
	if (length > 1023)
		length = 1023;
	connection_end(connection, FRAME_FAILED, payload, 4 + length);
}

struct cursor cursor_of(const struct frame *frame)
{
	return (struct cursor){ .at = frame->payload, .left = frame->length };
}

static uint64_t take(struct cursor *cursor, size_t size)
{
	uint64_t value = 0;
	if (cursor->left < size) {
		cursor->bad = 1;
		return 0;
	}
	memcpy(&value, cursor->at, size);
	cursor->at += size;
	cursor->left -= size;
	return value;
}

uint16_t take_u16(struct cursor *cursor)
{
	return take(cursor, 2);
}

uint32_t take_u32(struct cursor *cursor)
{
	return take(cursor, 4);
}

uint64_t take_u64(struct cursor *cursor)
{
	return take(cursor, 8);
}

char *take_string(struct cursor *cursor)
{
	char *text = NULL;
	if (memchr(cursor->at, 0, cursor->left) == NULL)
		text = strndup((const char *)cursor->at, cursor->left);
	cursor->left = 0;
	return text;
}
