// Part of starter.c: the jail of a process before its exec. What is in force here holds for every thread of the runtime
// that comes; none of it can be added later (Landlock missed threads that ran already).
//
// What a process gets is told by the request: namespaces (CLONE_NEW*), a list of files with their rights, and a few
// more measures. Nothing here knows what kind of device it confines.

#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/vfs.h>

enum { LANDLOCK = 1, NO_CAPABILITIES = 2, ALL_MEASURES = 3 };

static const uint32_t NAMESPACES = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                   CLONE_NEWUTS | CLONE_NEWCGROUP;

// A file of the root: its right ('r' to read, 'x' to execute and read), then its absolute path. "r/proc" is not the
// host's but one of the process's own, which shows that process alone.
struct jail {
  uint32_t namespaces, measures;
  char **files;
  uint32_t count;
};

static const char PROC[] = "/proc";

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail(NAMESPACE);
  close(fd);
}

// Of all users the namespace knows this one, by the number that it has outside.
static void map_user(uid_t user, gid_t group) {
  char map[32];
  // The files are our own only while our memory is, too.
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) fail(NAMESPACE);
  write_file("/proc/self/setgroups", "deny");
  snprintf(map, sizeof map, "%u %u 1", group, group);
  write_file("/proc/self/gid_map", map);
  snprintf(map, sizeof map, "%u %u 1", user, user);
  write_file("/proc/self/uid_map", map);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) fail(NAMESPACE);
}

// An empty file, or a folder, at an absolute path below the working directory, with what leads there. Returns the path
// from there.
static const char *make_place(const char *path, int is_folder) {
  static char place[4096];
  if ((size_t)snprintf(place, sizeof place, ".%s", path) >= sizeof place) {
    errno = ENAMETOOLONG;
    fail(ROOT);
  }
  for (char *slash = strchr(place + 2, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(place, 0755) && errno != EEXIST) fail(ROOT);
    *slash = '/';
  }
  int fd = -1;
  if (is_folder ? mkdir(place, 0755) && errno != EEXIST : (fd = open(place, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)) < 0)
    fail(ROOT);
  if (fd >= 0) close(fd);
  return place;
}

static void bring(const char *path) {
  if (!strcmp(path, PROC)) {
    // Only processes, of which there will be one; the rest of /proc tells of the host.
    if (mount("proc", make_place(path, 1), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid")) fail(ROOT);
    return;
  }
  struct stat st;
  if (stat(path, &st) || mount(path, make_place(path, S_ISDIR(st.st_mode)), NULL, MS_BIND, NULL)) fail(ROOT);
}

// Whether nothing was ever mounted over the kernel's first root, which is that of an initramfs (linux/magic.h).
static int is_first_root(void) {
  struct statfs root;
  return !statfs("/", &root) && (root.f_type == 0x858458f6 /* RAMFS */ || root.f_type == 0x01021994 /* TMPFS */);
}

// Makes the current directory, a mount, the root. The old one lies on it for a moment; that of an initramfs, which cannot
// be moved away, stays below it, where no path leads.
static void take_root(void) {
  if (!syscall(SYS_pivot_root, ".", ".")) {
    if (umount2(".", MNT_DETACH)) fail(ROOT);
  } else if (errno != EINVAL || !is_first_root() || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".")) fail(ROOT);
  if (chdir("/")) fail(ROOT);
}

// A root of its own, that nobody can write to. It is put together on /proc, of which no other file is wanted.
static void change_root(const struct jail *jail) {
  umask(022); // whoever the process becomes must get through these folders
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) fail(ROOT);
  if (mount("jail", PROC, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") || chdir(PROC)) fail(ROOT);
  for (uint32_t i = 0; i < jail->count; i++) bring(jail->files[i] + 1);
  take_root();
  struct { // of mount_setattr, which older libraries lack
    uint64_t set, clear, propagation, namespace;
  } sealed = {.set = 1 | 2 | 4}; // MOUNT_ATTR_RDONLY, NOSUID, NODEV
  if (syscall(442, AT_FDCWD, "/", 0x8000 /* AT_RECURSIVE */, &sealed, sizeof sealed)) fail(ROOT);
}

// While we may still do everything, inside the namespaces at least.
static void enter_namespaces(const struct jail *jail, uid_t user, gid_t group) {
  if (jail->namespaces & CLONE_NEWUSER) map_user(user, group);
  if (jail->namespaces & CLONE_NEWNS) change_root(jail);
  // The host's name stays the host's.
  if (jail->namespaces & CLONE_NEWUTS && sethostname("jail", 4)) fail(NAMESPACE);
}

// No capability, by no way: not as root, by no file, and not as ambient ones.
static void forbid_capabilities(void) {
  for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) fail(JAIL);
  const int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                   SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0)) fail(JAIL);
}

static void give_up_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {{0}};
  if (syscall(SYS_capset, &header, none)) fail(JAIL);
}

// ---- Landlock: the same files once more, should the root have a hole -------------------------------

#include "landlock.c"

static void landlocked(int outcome) {
  if (outcome >= 0) return;
  errno = -outcome;
  fail(LANDLOCKED);
}

// Whatever this kernel knows to forbid is forbidden, but what the files allow. `program` is run by its descriptor, if any.
static void restrict_files(const struct jail *jail, int program) {
  int rules = landlock_rules(3 /* abstract sockets, signals */);
  landlocked(rules);
  for (uint32_t i = 0; i < jail->count; i++) {
    int fd = open(jail->files[i] + 1, O_PATH | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) fail(LANDLOCKED);
    const int is_executed = jail->files[i][0] == 'x', is_folder = S_ISDIR(st.st_mode);
    landlocked(landlock_allow(rules, fd, LL_READ_FILE | (is_executed ? LL_EXECUTE : 0) | (is_folder ? LL_READ_DIR : 0)));
    close(fd);
  }
  if (program >= 0) landlocked(landlock_allow(rules, program, LL_READ_FILE | LL_EXECUTE));
  landlocked(landlock_restrict(rules));
  close(rules);
}
