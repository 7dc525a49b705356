/*
 * What a host and the agent in its guest say to each other: frames of eight bytes (length of the payload, type; little
 * endian) and a payload. One connection carries one request. docs/exec.md describes it, src/agent/protocol.ts has the
 * same numbers.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#define PROTOCOL_MAGIC "spectrum"

enum {
	PROTOCOL_VERSION = 1,
	HEADER_SIZE = 8,
	/* Longest payload: the longest string that Linux gives to a program (MAX_ARG_STRLEN). */
	MAX_PAYLOAD = 131072,
	/* Most bytes of standard input that are on their way or not yet with the command. */
	INPUT_WINDOW = 262144,
	/* How deep folders may be in each other in a copy: each takes a descriptor. */
	MAX_DEPTH = 256,
};

enum frame_type {
	/* Both: the magic and u32 version, first of all. */
	FRAME_HELLO = 1,

	/* From the host, words of a request. */
	FRAME_ARGUMENT = 2, /* a program's argument, or a path */
	FRAME_VARIABLE = 3, /* NAME=VALUE */
	FRAME_USER = 4, /* USER or USER:GROUP, by name or number */
	FRAME_DIRECTORY = 5, /* where the command runs */
	FRAME_TERMINAL = 6, /* u16 rows, u16 columns: the command gets a terminal; later its new size */

	/* From the host, requests. */
	FRAME_EXECUTE = 16, /* u32 credit for output, u32 credit for errors */
	FRAME_STORE = 17, /* a tree follows, for the path that the argument is */
	FRAME_FETCH = 18, /* the tree of that path is wanted */
	FRAME_POWER_OFF = 19,
	FRAME_SET_CLOCK = 20, /* u64 seconds since 1970, u32 nanoseconds */

	/* From the host, while a command runs. */
	FRAME_INPUT = 32, /* bytes, at most as many as there is credit for; none: the end */
	FRAME_SIGNAL = 33, /* u32 */
	FRAME_CREDIT = 34, /* u32 for output, u32 for errors: bytes that may be sent on top */

	/* From the agent. */
	FRAME_STARTED = 48,
	FRAME_OUTPUT = 49, /* bytes; none: the end */
	FRAME_ERRORS = 50, /* bytes; none: the end */
	FRAME_INPUT_CREDIT = 51, /* u32 */
	FRAME_INPUT_CLOSED = 52, /* the command reads no more */
	FRAME_EXITED = 53, /* u32 status, u32 signal or 0; the last */
	FRAME_FAILED = 54, /* u32 exit status (125, 126, 127), text; the last */
	FRAME_DONE = 55, /* of what is no command; the last */
	FRAME_SKIPPED = 56, /* a path that is neither file, folder nor link */

	/* A tree, from whoever has it. Names are single components. */
	FRAME_FOLDER = 64, /* u32 mode, u32 nanoseconds, u64 seconds (modified), name; entries follow up to LEAVE */
	FRAME_REGULAR = 65, /* the same; CONTENT follows up to LEAVE */
	FRAME_LINK = 66, /* name, NUL, target */
	FRAME_CONTENT = 67, /* bytes */
	FRAME_LEAVE = 68,
};

#endif
