// Part of starter.c and of shim.c: rules of Landlock (landlock(7)). Headers of Debian 12 know half of it; numbers are
// those of linux/landlock.h. A function returns its result, or -errno.

#include <sys/syscall.h>

enum { LL_EXECUTE = 1 << 0, LL_READ_FILE = 1 << 2, LL_READ_DIR = 1 << 3 };

// The rights to files that this kernel knows, once there are rules.
static uint64_t landlock_rights;

// Rules by which all is forbidden that this kernel knows to forbid; `scoped` are sockets and signals beyond the rules.
static int landlock_rules(uint64_t scoped) {
  long abi = syscall(444, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
  if (abi < 0) return -errno;
  const int count = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;
  landlock_rights = (1u << count) - 1;
  struct {
    uint64_t files, net, scoped;
  } handled = {landlock_rights, 3 /* bind, connect */, scoped};
  long rules = syscall(444, &handled, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
  return rules < 0 ? -errno : (int)rules;
}

// Allows what of these rights the kernel knows, to a file or to all beneath a folder.
static int landlock_allow(int rules, int fd, uint64_t rights) {
  struct {
    uint64_t allowed;
    int32_t parent;
  } __attribute__((packed)) beneath = {rights & landlock_rights, fd};
  return syscall(445, rules, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &beneath, 0) ? -errno : 0;
}

// Of the calling thread, and of what it makes from then on. It must have given up to gain rights by an exec.
static int landlock_restrict(int rules) { return syscall(446, rules, 0) ? -errno : 0; }
