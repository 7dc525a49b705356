/* Files and folders, to and from the host. */
#ifndef TREE_H
#define TREE_H

#include "connection.h"

/* Takes a tree from the host and puts it at a path, or into it when that is a folder; ends the process. */
__attribute__((noreturn)) void tree_store(struct connection *connection, const char *path);
/* Sends what is at a path; ends the process. */
__attribute__((noreturn)) void tree_fetch(struct connection *connection, const char *path);

#endif
