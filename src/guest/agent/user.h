/* Users and groups of the guest, from /etc/passwd and /etc/group. */
#ifndef USER_H
#define USER_H

#include <sys/types.h>

enum { MAX_GROUPS = 64 };

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[MAX_GROUPS];
	int group_count;
	/* Whether there is anything to change: the process may be somebody else's than root's. */
	int change;
	char name[256], home[4096], shell[4096];
};

/*
 * Finds USER or USER:GROUP, each a name or a number; NULL is who this process is. Returns NULL, or why there is none:
 * "user" or "group".
 */
const char *find_user(struct user *user, const char *wanted);
/* Makes this process that user's. -1 with errno. */
int become_user(const struct user *user);

#endif
