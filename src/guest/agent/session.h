/* One connection, in a process of its own. */
#ifndef SESSION_H
#define SESSION_H

/*
 * Serves the request that comes over a connection, and ends the process.
 *
 * only_tried: this is no guest, and its power and clock are not ours.
 */
__attribute__((noreturn)) void serve(int fd, int only_tried);

#endif
