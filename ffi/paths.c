// Part of starter.c: what a monitor that has no paths has done for it.
//
// CONNECT, with a socket: connects it to the path that follows; once sealed, only to a path that was told by ADMIT
// before. What is OURS is a socket in a folder of its own, which go with the starter. SAVE: makes a folder, to be a
// snapshot's, with files of fixed names, which the answer carries. SAVED: gives the folder its name, or removes it.
// Whoever asks gets at nothing that is there already.

#include <stdio.h>
#include <sys/un.h>

enum { NUMBERED = 1, NO_LINK = 2, OURS = 4 };
enum { MAX_ADMITTED = 1024, MAX_REGIONS = 8, MAX_NAME = 200 };

struct path_request {
  uint32_t kind, id, detail;
  char path[];
};

static struct admitted {
  struct admitted *next;
  uint32_t how;
  char path[];
} *admitted;

// Whether a request has a path, with its end.
static int has_path(size_t length) {
  const struct path_request *request = (void *)packet.bytes;
  return length > sizeof *request && strnlen(request->path, length - sizeof *request) == length - sizeof *request - 1;
}

static void admit(const struct path_request *request, size_t length) {
  static int count;
  if (sealed || request->path[0] != '/' || count++ >= MAX_ADMITTED) return;
  size_t size = length - sizeof *request;
  struct admitted *one = malloc(sizeof *one + size);
  if (!one) return;
  *one = (struct admitted){admitted, request->detail};
  memcpy(one->path, request->path, size);
  admitted = one;
}

// Whether a path is one that was told, or that and a number behind it.
static int matches(const struct admitted *one, const char *path) {
  size_t length = strlen(one->path);
  if (!(one->how & NUMBERED)) return !strcmp(one->path, path);
  const char *number = path + length;
  return !strncmp(one->path, path, length) && *number && strspn(number, "0123456789") == strlen(number);
}

// The socket is the monitor's, too. By a link of /proc, since an address has no room for a long path.
static int connect_to(const struct path_request *request, int socket) {
  const struct admitted *one = admitted;
  while (one && !matches(one, request->path)) one = one->next;
  if (!one && sealed) return EPERM;
  int place = open(request->path, O_PATH | O_CLOEXEC | (one && one->how & NO_LINK ? O_NOFOLLOW : 0));
  if (place < 0) return errno;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", place);
  int error = connect(socket, (void *)&address, sizeof address) ? errno : 0;
  close(place);
  return error;
}

// When nobody is left who uses them.
static void remove_ours(void) {
  for (struct admitted *one = admitted; one; one = one->next) {
    if (!(one->how & OURS)) continue;
    unlink(one->path);
    *strrchr(one->path, '/') = 0;
    rmdir(one->path);
  }
}

// ---- Snapshots ------------------------------------------------------------------------------------

// The one that is being written; none while `around` is 0.
static struct {
  int around; // the folder that it will be in
  int folder;
  uint32_t files;
  char name[MAX_NAME + 1], partial[MAX_NAME + 32];
} saving;

static const char *file_name(uint32_t index) {
  static const char *const names[] = {"snapshot.json", "state.json", "ram0", "ram1", "ram2",
                                      "ram3",          "ram4",       "ram5", "ram6", "ram7"};
  return names[index];
}

static void remove_partial(void) {
  if (!saving.around) return;
  for (uint32_t i = 0; i < saving.files; i++) unlinkat(saving.folder, file_name(i), 0);
  unlinkat(saving.around, saving.partial, AT_REMOVEDIR);
}

static void forget_snapshot(void) {
  if (saving.folder > 0) close(saving.folder);
  if (saving.around > 0) close(saving.around);
  saving.around = saving.folder = 0;
}

// Opens the folder around a path, and keeps the name that the path has there.
static int open_around(char *path) {
  char *slash = strrchr(path, '/');
  if (!slash || !slash[1] || strlen(slash + 1) > MAX_NAME || !strcmp(slash + 1, ".") || !strcmp(slash + 1, ".."))
    return EINVAL;
  strcpy(saving.name, slash + 1);
  slash[slash == path] = 0;
  saving.around = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (saving.around < 0) {
    saving.around = 0;
    return errno;
  }
  struct stat there;
  if (!fstatat(saving.around, saving.name, &there, AT_SYMLINK_NOFOLLOW)) return EEXIST;
  return errno == ENOENT ? 0 : errno;
}

static int make_files(int *files, uint32_t count) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(saving.partial, sizeof saving.partial, ".%s.%llx", saving.name,
           (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec);
  if (mkdirat(saving.around, saving.partial, 0700)) return errno;
  saving.folder = openat(saving.around, saving.partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (saving.folder < 0) return errno;
  for (; saving.files < count; saving.files++) {
    int file = openat(saving.folder, file_name(saving.files), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return errno;
    files[saving.files] = file;
  }
  return 0;
}

static int begin_snapshot(struct path_request *request, int *files, uint32_t *count) {
  if (saving.around) return EBUSY;
  if (request->detail > MAX_REGIONS) return EINVAL;
  saving.files = 0;
  int error = open_around(request->path);
  if (!error) error = make_files(files, request->detail + 2);
  *count = saving.files;
  if (error) {
    if (saving.folder) remove_partial();
    forget_snapshot();
  }
  return error;
}

static int end_snapshot(int is_whole) {
  if (!saving.around) return EINVAL;
  int error = 0;
  if (is_whole && (fsync(saving.folder) || renameat(saving.around, saving.partial, saving.around, saving.name)))
    error = errno;
  if (!is_whole || error) remove_partial();
  forget_snapshot();
  return error;
}

static void serve_path(size_t length, const int *fds, uint32_t count) {
  struct path_request *request = (void *)packet.bytes;
  int files[MAX_REGIONS + 2];
  uint32_t made = 0;
  int error = EINVAL;
  if (request->kind == SAVED && length == sizeof *request) {
    error = end_snapshot(request->detail != 0);
  } else if (has_path(length)) {
    if (request->kind == ADMIT) return admit(request, length);
    if (request->kind == CONNECT && count == 1) error = connect_to(request, fds[0]);
    if (request->kind == SAVE) error = begin_snapshot(request, files, &made);
  }
  answer_with(DONE, request->id, error, 0, files, error ? 0 : made);
  while (made) close(files[--made]);
}
