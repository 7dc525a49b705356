#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "user.h"

enum { LINE = 65536 };

static int number(const char *text, unsigned *value)
{
	char *end;
	unsigned long parsed = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != 0 || parsed >= 0xffffffff)
		return 0;
	*value = parsed;
	return 1;
}

/* Cuts a line into its fields between colons; what is missing is empty. */
static void fields(char *line, char **field, int count)
{
	line[strcspn(line, "\n")] = 0;
	for (int i = 0; i < count; i++) {
		char *next = line == NULL ? NULL : strsep(&line, ":");
		field[i] = next == NULL ? "" : next;
	}
}

/* Fills in what /etc/passwd says of a user, by name or number. */
static int read_passwd(struct user *user, const char *name, uid_t uid)
{
	static char line[LINE];
	FILE *file = fopen("/etc/passwd", "re");
	int found = 0;
	while (!found && file != NULL && fgets(line, sizeof(line), file) != NULL) {
		char *field[7];
		unsigned id, group;
		fields(line, field, 7);
		if (!number(field[2], &id) || !number(field[3], &group))
			continue;
		if (name != NULL ? strcmp(field[0], name) != 0 : id != uid)
			continue;
		found = 1;
		user->uid = id;
		user->gid = group;
		snprintf(user->name, sizeof(user->name), "%s", field[0]);
		snprintf(user->home, sizeof(user->home), "%s", field[5]);
		snprintf(user->shell, sizeof(user->shell), "%s", field[6]);
	}
	if (file != NULL)
		fclose(file);
	return found;
}

static int is_member(char *members, const char *name)
{
	for (char *member; (member = strsep(&members, ",")) != NULL;)
		if (strcmp(member, name) == 0)
			return 1;
	return 0;
}

/* Calls for each group: its name, its number and who is in it. Ends when `visit` returns non-zero. */
static int each_group(int (*visit)(char **field, gid_t gid, void *context), void *context)
{
	static char line[LINE];
	FILE *file = fopen("/etc/group", "re");
	int result = 0;
	while (result == 0 && file != NULL && fgets(line, sizeof(line), file) != NULL) {
		char *field[4];
		unsigned gid;
		fields(line, field, 4);
		if (number(field[2], &gid))
			result = visit(field, gid, context);
	}
	if (file != NULL)
		fclose(file);
	return result;
}

static int add_if_member(char **field, gid_t gid, void *context)
{
	struct user *user = context;
	if (gid != user->gid && user->group_count < MAX_GROUPS && is_member(field[3], user->name))
		user->groups[user->group_count++] = gid;
	return 0;
}

struct named {
	const char *name;
	gid_t gid;
};

static int has_name(char **field, gid_t gid, void *context)
{
	struct named *named = context;
	named->gid = gid;
	return strcmp(field[0], named->name) == 0;
}

const char *find_user(struct user *user, const char *wanted)
{
	char name[256];
	unsigned id;
	memset(user, 0, sizeof(*user));
	user->change = wanted != NULL;
	snprintf(name, sizeof(name), "%s", wanted == NULL ? "" : wanted);
	char *group = strchr(name, ':');
	if (group != NULL)
		*group++ = 0;

	if (wanted == NULL || number(name, &id)) {
		/* A number need not have a name. */
		user->uid = wanted == NULL ? getuid() : id;
		user->gid = wanted == NULL ? getgid() : id;
		read_passwd(user, NULL, user->uid);
	} else if (!read_passwd(user, name, 0)) {
		/* A guest without /etc/passwd has a root all the same. */
		if (strcmp(name, "root") != 0)
			return "user";
		snprintf(user->name, sizeof(user->name), "root");
	}
	if (group != NULL) {
		struct named named = { .name = group };
		if (number(group, &id))
			named.gid = id;
		else if (!each_group(has_name, &named))
			return "group";
		user->gid = named.gid;
	} else {
		user->groups[user->group_count++] = user->gid;
		if (user->name[0] != 0)
			each_group(add_if_member, user);
	}
	if (group != NULL)
		user->groups[user->group_count++] = user->gid;
	return NULL;
}

int become_user(const struct user *user)
{
	if (!user->change)
		return 0;
	if (setgroups(user->group_count, user->groups) != 0 || setgid(user->gid) != 0 || setuid(user->uid) != 0)
		return -1;
	return 0;
}
