#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "machine.h"
#include "relay.h"
#include "request.h"
#include "session.h"
#include "tree.h"
#include "user.h"

/* How long a host may take to say what it wants, in seconds. */
enum { PATIENCE_S = 30 };

static void greet(struct connection *connection)
{
	struct { char magic[8]; uint32_t version; } __attribute__((packed)) hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	struct frame frame;
	connection_put(connection, FRAME_HELLO, &hello, sizeof(hello));
	if (connection_flush_all(connection) != 0 || !connection_await(connection, &frame))
		_exit(1);
	if (frame.type != FRAME_HELLO || frame.length < sizeof(hello) || memcmp(frame.payload, hello.magic, sizeof(hello.magic)) != 0)
		connection_fail(connection, 125, "The guest's agent was not greeted in its protocol.");
	uint32_t version;
	memcpy(&version, frame.payload + sizeof(hello.magic), sizeof(version));
	if (version != PROTOCOL_VERSION)
		connection_fail(connection, 125, "The guest's agent speaks version %d of the protocol, the host version %u.",
			PROTOCOL_VERSION, version);
}

/* What files are read and written as, and where relative paths begin. */
static void take_place(struct connection *connection, const struct request *request)
{
	struct user user;
	const char *missing = find_user(&user, request->user);
	if (missing != NULL)
		connection_fail(connection, 125, "There is no such %s in the guest: %s.", missing, request->user);
	if (become_user(&user) != 0)
		connection_fail(connection, 125, "The agent cannot become the user %s: %s.", request->user, strerror(errno));
	if (chdir(user.home) != 0 && chdir("/") != 0)
		connection_fail(connection, 125, "Cannot enter / in the guest: %s.", strerror(errno));
}

void serve(int fd, int only_tried)
{
	static struct connection connection;
	static struct request request;
	struct frame frame;
	int taken;
	connection.fd = fd;
	alarm(PATIENCE_S);
	greet(&connection);
	do
		if (!connection_await(&connection, &frame))
			_exit(1);
	while ((taken = request_take(&request, &frame)) > 0);
	alarm(0);

	struct cursor cursor = cursor_of(&frame);
	int has_argument = request.argument_count > 0;
	if (taken == 0 && frame.type == FRAME_EXECUTE && has_argument) {
		uint32_t output = take_u32(&cursor), errors = take_u32(&cursor);
		if (!cursor.bad)
			relay(&connection, &request, output, errors);
	} else if (taken == 0 && (frame.type == FRAME_STORE || frame.type == FRAME_FETCH) && has_argument) {
		take_place(&connection, &request);
		if (frame.type == FRAME_STORE)
			tree_store(&connection, request.arguments[0]);
		tree_fetch(&connection, request.arguments[0]);
	} else if (taken == 0 && only_tried) {
		connection_fail(&connection, 125, "This agent is only tried, and leaves the machine alone.");
	} else if (taken == 0 && frame.type == FRAME_POWER_OFF) {
		power_off(&connection);
	} else if (taken == 0 && frame.type == FRAME_SET_CLOCK) {
		uint64_t seconds = take_u64(&cursor);
		uint32_t nanoseconds = take_u32(&cursor);
		if (!cursor.bad)
			set_clock(&connection, seconds, nanoseconds);
	}
	connection_fail(&connection, 125, "The host broke the protocol.");
}
