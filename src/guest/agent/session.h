/* One connection, in a process of its own. */
#ifndef SESSION_H
#define SESSION_H

/* Serves the request that comes over a connection, and ends the process. */
__attribute__((noreturn)) void serve(int fd);

#endif
