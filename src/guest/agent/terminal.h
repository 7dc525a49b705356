/* Pseudo-terminals. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdint.h>

/* Opens one: the master, which does not block, and its slave. -1 with errno. */
int terminal_open(uint16_t rows, uint16_t columns, int *slave);
void terminal_resize(int master, uint16_t rows, uint16_t columns);

#endif
