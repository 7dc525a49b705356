#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "relay.h"
#include "terminal.h"

enum {
	/* Of one stream in a frame. */
	CHUNK = 65536,
	/* Kept free for small frames. */
	RESERVE = 4096,
	/* A terminal passes on what was written to it a moment later. */
	SETTLE_MS = 50,
	MAX_LEFT_IN_TERMINAL = 2 * 65536,
	END_OF_FILE_CHARACTER = 4,
};

/* One of the command's two streams to the host. */
struct stream {
	int fd;
	uint32_t type;
	uint32_t credit;
	/* Once the command has ended: bytes that it has left there. */
	int left;
};

struct relay {
	struct connection *connection;
	struct command command;
	struct stream streams[2];
	int signals;
	/* Standard input: a ring. */
	unsigned char input[INPUT_WINDOW];
	size_t input_start, input_length;
	/* Bytes of it that the command has taken and the host has not been told of. */
	uint32_t taken;
	int input_ended;
	/* A terminal has yet to be told of that, by its character for it. */
	int end_due;
	/* The command has ended, with this. */
	int ended;
	siginfo_t how;
};

static void close_input(struct relay *relay)
{
	if (relay->command.input < 0)
		return;
	if (!relay->command.has_terminal)
		close(relay->command.input);
	relay->command.input = -1;
	relay->input_length = 0;
}

/* Writes input to the command as far as it takes it. */
static void pour(struct relay *relay)
{
	while (relay->input_length > 0) {
		size_t piece = INPUT_WINDOW - relay->input_start;
		if (piece > relay->input_length)
			piece = relay->input_length;
		ssize_t count = write(relay->command.input, relay->input + relay->input_start, piece);
		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count < 0) {
			close_input(relay);
			connection_put(relay->connection, FRAME_INPUT_CLOSED, NULL, 0);
			return;
		}
		relay->input_start = (relay->input_start + count) % INPUT_WINDOW;
		relay->input_length -= count;
		relay->taken += count;
	}
	if (relay->input_ended && !relay->command.has_terminal)
		close_input(relay);
	static const char end_of_file = END_OF_FILE_CHARACTER;
	if (relay->end_due && (write(relay->command.input, &end_of_file, 1) == 1 || errno != EAGAIN))
		relay->end_due = 0;
}

/* Keeps input for the command. Returns 0 when the host sends more than it may. */
static int keep(struct relay *relay, const unsigned char *bytes, size_t length)
{
	if (length > INPUT_WINDOW - relay->input_length - relay->taken)
		return 0;
	size_t end = (relay->input_start + relay->input_length) % INPUT_WINDOW;
	size_t piece = length < INPUT_WINDOW - end ? length : INPUT_WINDOW - end;
	memcpy(relay->input + end, bytes, piece);
	memcpy(relay->input, bytes + piece, length - piece);
	relay->input_length += length;
	return 1;
}

static int take_input(struct relay *relay, const struct frame *frame)
{
	if (relay->command.input < 0)
		return 1;
	if (relay->input_ended)
		return frame->length == 0;
	if (frame->length == 0) {
		relay->input_ended = 1;
		relay->end_due = relay->command.has_terminal;
	} else if (!keep(relay, frame->payload, frame->length))
		return 0;
	pour(relay);
	return 1;
}

/* Takes a frame of the host's; 0 when it breaks the protocol. */
static int take_frame(struct relay *relay, const struct frame *frame)
{
	struct cursor cursor = cursor_of(frame);
	switch (frame->type) {
	case FRAME_INPUT:
		return take_input(relay, frame);
	case FRAME_SIGNAL: {
		int signal = take_u32(&cursor);
		if (!cursor.bad && !relay->ended)
			command_signal(&relay->command, signal);
		return !cursor.bad;
	}
	case FRAME_CREDIT:
		for (int i = 0; i < 2; i++)
			if (__builtin_add_overflow(relay->streams[i].credit, take_u32(&cursor), &relay->streams[i].credit))
				return 0;
		return !cursor.bad;
	case FRAME_TERMINAL: {
		uint16_t rows = take_u16(&cursor), columns = take_u16(&cursor);
		if (!cursor.bad && relay->command.has_terminal && relay->command.output >= 0)
			terminal_resize(relay->command.output, rows, columns);
		return !cursor.bad;
	}
	default:
		return 0;
	}
}

static void end_stream(struct relay *relay, struct stream *stream)
{
	if (stream->fd < 0)
		return;
	stream->fd = -1;
	connection_put(relay->connection, stream->type, NULL, 0);
}

/* How much of a stream may be read now; 0 when the host has to say or to read something first. */
static size_t readable(const struct relay *relay, const struct stream *stream)
{
	size_t room = connection_room(relay->connection);
	size_t size = room < RESERVE ? 0 : room - RESERVE;
	if (size > CHUNK)
		size = CHUNK;
	if (size > stream->credit)
		size = stream->credit;
	if (relay->ended && size > (size_t)stream->left)
		size = stream->left;
	return stream->fd < 0 ? 0 : size;
}

static void draw(struct relay *relay, struct stream *stream)
{
	size_t size = readable(relay, stream);
	if (size == 0)
		return;
	ssize_t count = read(stream->fd, connection_payload(relay->connection), size);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* The other end of a terminal is closed: EIO. It may be opened again as long as the command runs. */
	if (count <= 0) {
		if (relay->ended || !relay->command.has_terminal)
			end_stream(relay, stream);
		return;
	}
	connection_commit(relay->connection, stream->type, count);
	stream->credit -= count;
	if (relay->ended)
		stream->left -= count;
}

/* Looks whether the command has ended: what is in its streams by then is all that the host gets of them. */
static void look_for_end(struct relay *relay)
{
	struct signalfd_siginfo info;
	while (read(relay->signals, &info, sizeof(info)) > 0)
		;
	relay->how.si_pid = 0;
	if (relay->ended || waitid(P_PID, relay->command.pid, &relay->how, WEXITED | WNOHANG | WNOWAIT) != 0 || relay->how.si_pid == 0)
		return;
	relay->ended = 1;
	for (int i = 0; i < 2; i++) {
		struct stream *stream = &relay->streams[i];
		if (relay->command.has_terminal)
			stream->left = MAX_LEFT_IN_TERMINAL;
		else if (stream->fd >= 0 && ioctl(stream->fd, FIONREAD, &stream->left) != 0)
			stream->left = 0;
	}
}

__attribute__((noreturn)) static void finish(struct relay *relay)
{
	int killed = relay->how.si_code != CLD_EXITED;
	uint32_t payload[2] = { killed ? 0 : relay->how.si_status, killed ? relay->how.si_status : 0 };
	waitpid(relay->command.pid, NULL, 0);
	connection_end(relay->connection, FRAME_EXITED, payload, sizeof(payload));
}

__attribute__((noreturn)) static void drop(struct relay *relay)
{
	close(relay->connection->fd);
	command_hang_up(&relay->command);
	_exit(0);
}

static void tell_taken(struct relay *relay)
{
	if (relay->taken == 0 || (relay->taken < INPUT_WINDOW / 4 && relay->input_length > 0))
		return;
	if (connection_room(relay->connection) < RESERVE / 2)
		return;
	connection_put(relay->connection, FRAME_INPUT_CREDIT, &relay->taken, sizeof(relay->taken));
	relay->taken = 0;
}

/* Ends the streams of which nothing more is to come; true when both have ended. */
static int streams_are_over(struct relay *relay, int quiet)
{
	for (int i = 0; i < 2; i++) {
		struct stream *stream = &relay->streams[i];
		if (stream->left == 0 || (relay->command.has_terminal && quiet && stream->credit > 0))
			end_stream(relay, stream);
	}
	return relay->streams[0].fd < 0 && relay->streams[1].fd < 0;
}

static int has_input(const struct relay *relay)
{
	return relay->command.input >= 0 && (relay->input_length > 0 || relay->end_due);
}

static void turn(struct relay *relay)
{
	struct connection *connection = relay->connection;
	struct pollfd polls[] = {
		{ .fd = connection->fd, .events = POLLIN | (connection->out_end > 0 ? POLLOUT : 0) },
		{ .fd = relay->signals, .events = POLLIN },
		{ .fd = readable(relay, &relay->streams[0]) > 0 ? relay->streams[0].fd : -1, .events = POLLIN },
		{ .fd = readable(relay, &relay->streams[1]) > 0 ? relay->streams[1].fd : -1, .events = POLLIN },
		{ .fd = has_input(relay) ? relay->command.input : -1, .events = POLLOUT },
	};
	/* A terminal that everybody has closed is ready without end. */
	int closed = relay->command.has_terminal && !relay->ended;
	int count = poll(polls, 5, relay->ended && relay->command.has_terminal ? SETTLE_MS : -1);
	if (count < 0 && errno != EINTR)
		drop(relay);
	if (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) {
		int filled = connection_fill(connection);
		if (filled == 0 || (filled < 0 && errno != EAGAIN))
			drop(relay);
		struct frame frame;
		int taken;
		while ((taken = connection_next(connection, &frame)) > 0)
			if (!take_frame(relay, &frame))
				drop(relay);
		if (taken < 0)
			drop(relay);
	}
	if (polls[1].revents != 0)
		look_for_end(relay);
	if (polls[4].revents != 0 && has_input(relay))
		pour(relay);
	for (int i = 0; i < 2; i++)
		if (polls[2 + i].revents != 0)
			draw(relay, &relay->streams[i]);
	if (closed && polls[2].revents == POLLHUP)
		usleep(SETTLE_MS * 1000 / 10);
	tell_taken(relay);
	if (relay->ended && streams_are_over(relay, count == 0))
		finish(relay);
	if (connection_flush(connection) < 0)
		drop(relay);
}

void relay(struct connection *connection, struct request *request, uint32_t output_credit, uint32_t errors_credit)
{
	static struct relay relay;
	sigset_t children;
	uint32_t window = INPUT_WINDOW;
	relay.connection = connection;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	relay.signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (relay.signals < 0)
		connection_fail(connection, 125, "The agent cannot wait for a command: %s.", strerror(errno));
	command_start(&relay.command, request, connection);
	relay.streams[0] = (struct stream){ relay.command.output, FRAME_OUTPUT, output_credit, -1 };
	relay.streams[1] = (struct stream){ relay.command.errors, FRAME_ERRORS, errors_credit, -1 };
	connection_put(connection, FRAME_STARTED, NULL, 0);
	connection_put(connection, FRAME_INPUT_CREDIT, &window, sizeof(window));
	if (connection_flush(connection) < 0)
		drop(&relay);
	for (;;)
		turn(&relay);
}
