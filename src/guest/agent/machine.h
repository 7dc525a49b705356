/* What concerns the whole guest. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>
#include "connection.h"

/* Lets the guest power off in its own orderly way; ends the process. */
__attribute__((noreturn)) void power_off(struct connection *connection);
/* Sets the wall clock, if it is wrong; ends the process. */
__attribute__((noreturn)) void set_clock(struct connection *connection, uint64_t seconds, uint32_t nanoseconds);

#endif
