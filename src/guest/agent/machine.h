/* What concerns the whole guest. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>
#include "connection.h"

/*
 * Waits, no longer than a minute, until the guest's init takes orders: who started us may be about to become it, and what
 * systemctl says to a systemd that only starts is no use to anybody.
 */
void wait_for_init(void);
/* Lets the guest power off in its own orderly way; ends the process. */
__attribute__((noreturn)) void power_off(struct connection *connection);
/* Sets the wall clock, if it is wrong; ends the process. */
__attribute__((noreturn)) void set_clock(struct connection *connection, uint64_t seconds, uint32_t nanoseconds);

#endif
