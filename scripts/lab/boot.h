/* See boot.c. */
void boot(void);
