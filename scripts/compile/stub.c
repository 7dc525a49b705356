// The first code that dist/spectrum runs.
//
// dist/spectrum is the runtime's executable with one more segment: this code, and behind it our scripts and
// native programs, laid out by image.ts. When the dynamic linker is done it jumps here instead of to the
// runtime's own entry point. We then
//
//   1. choose a role by the name that the program was called by,
//   2. put the files and the script of that role into sealed memory files,
//   3. write the arguments and the environment that make the runtime run the role's script,
//   4. jump to the runtime's entry point as if it had been first.
//
// So nothing is extracted to a disk and nothing is executed a second time; the program's name for the kernel
// stays that of the file, and all processes share the pages of the runtime.
//
// There is no C library here: the runtime's is not ready yet. No pointer may be stored in the image either, since
// nobody would relocate it: places are offsets from `image`.

typedef unsigned long word;
typedef unsigned int offset; // from the start of the image

#define HIDDEN __attribute__((visibility("hidden")))

// ---- The layout, as image.ts writes it ------------------------------------------------------

struct file {
  offset name; // for those who look at /proc/PID/fd
  offset data;
  offset length;
  offset executable; // 1: execve may be used on it
};

// Strings are lists: each ends with a zero, the list with an empty one.
struct role {
  offset name;      // the last part of argv[0] that chooses this role; empty: any
  offset arguments; // what comes before the script
  offset files;     // letters: what it gets, 'a' is the first of all files
  offset script;    // a text; `%a` becomes the number of file a's descriptor
  offset body;      // what the script goes on with, and its length
  offset body_length;
};

struct header {
  word address;      // of the image, as linked
  word entry;        // the runtime's entry point, as linked
  word environ_slot; // a pointer to the C library's `environ`, as linked
  offset environment; // a list of NAME=VALUE that replaces every DENO_*
  offset dropped;     // a list of beginnings of variables that are left out
  offset kept;        // a list of NAME=VALUE that are not
  offset roles;       // the last one is for every name
  offset files;
};

extern const char image[] HIDDEN;           // the start of this segment
extern const struct header header HIDDEN;   // behind the code

// What is added to a command line at most: arguments of the role, variables, the script. image.ts checks it.
enum { MOST_ADDED = 64, MOST_FILES = 26 };
// Room for "/proc/self/fd/4294967295".
enum { PATH_WORDS = 4 };

// ---- System calls ---------------------------------------------------------------------------

enum { SYS_WRITE = 1, SYS_CLOSE = 3, SYS_FCNTL = 72, SYS_PRCTL = 157, SYS_EXIT_GROUP = 231, SYS_MEMFD_CREATE = 319 };
enum { EINVAL = 22, F_DUPFD_CLOEXEC = 1030, F_ADD_SEALS = 1033, PR_SET_NAME = 15 };
enum { MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2, MFD_NOEXEC_SEAL = 8, MFD_EXEC = 16 };
enum { SEAL_SEAL = 1, SEAL_SHRINK = 2, SEAL_GROW = 4, SEAL_WRITE = 8 };

static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

// ---- Strings --------------------------------------------------------------------------------

static const char *at(offset place) { return image + place; }

static word length(const char *text) {
  word n = 0;
  while (text[n]) n++;
  return n;
}

static const char *next(const char *text) { return text + length(text) + 1; }

static int same(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static int begins(const char *text, const char *beginning) {
  while (*beginning && *text == *beginning) text++, beginning++;
  return !*beginning;
}

static const char *last_part(const char *path) {
  const char *part = path;
  for (; *path; path++)
    if (*path == '/') part = path + 1;
  return part;
}

// Writes a number in decimal and returns where it ends.
static char *decimal(char *out, unsigned number) {
  char digits[10];
  int n = 0;
  do digits[n++] = (char)('0' + number % 10);
  while (number /= 10);
  while (n) *out++ = digits[--n];
  return out;
}

__attribute__((noreturn)) static void die(const char *reason) {
  const char before[] = "spectrum: cannot start: ";
  call(SYS_WRITE, 2, (long)before, sizeof before - 1);
  call(SYS_WRITE, 2, (long)reason, (long)length(reason));
  call(SYS_WRITE, 2, (long)"\n", 1);
  for (;;) call(SYS_EXIT_GROUP, 2, 0, 0);
}

// ---- Memory files ---------------------------------------------------------------------------

static void write_all(long fd, const char *data, word count) {
  while (count) {
    long n = call(SYS_WRITE, fd, (long)data, (long)count);
    if (n <= 0) die("no memory for its files");
    data += n;
    count -= (word)n;
  }
}

// Above the standard streams: where those are closed, the runtime opens them, and must find them free.
static long create(const char *name, int executable) {
  long flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  long fd = call(SYS_MEMFD_CREATE, (long)name, flags | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL), 0);
  if (fd == -EINVAL) fd = call(SYS_MEMFD_CREATE, (long)name, flags, 0); // Linux before 6.3
  if (fd < 0) die("memfd_create is refused");
  if (fd > 2) return fd;
  long high = call(SYS_FCNTL, fd, F_DUPFD_CLOEXEC, 3);
  call(SYS_CLOSE, fd, 0, 0);
  if (high < 0) die("no descriptor is free");
  return high;
}

// From now on nobody can change it.
static long seal(long fd) {
  if (call(SYS_FCNTL, fd, F_ADD_SEALS, SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE) < 0)
    die("memory files cannot be sealed");
  return fd;
}

// Makes the files of a role; `made` gets their descriptors.
static void make_files(const struct role *role, long *made) {
  for (const char *letter = at(role->files); *letter; letter++) {
    const struct file *file = (const struct file *)at(header.files) + (*letter - 'a');
    long fd = create(at(file->name), (int)file->executable);
    write_all(fd, at(file->data), file->length);
    made[*letter - 'a'] = seal(fd);
  }
}

// Makes the script of a role and returns its descriptor.
static long make_script(const struct role *role, const char *name, const long *made) {
  long fd = create(name, 0);
  for (const char *text = at(role->script); *text;) {
    word n = 0;
    while (text[n] && text[n] != '%') n++;
    write_all(fd, text, n);
    text += n;
    if (!*text) break;
    char number[10], *end = decimal(number, (unsigned)made[text[1] - 'a']);
    write_all(fd, number, (word)(end - number));
    text += 2;
  }
  write_all(fd, at(role->body), role->body_length);
  return seal(fd);
}

// ---- The process's beginning ----------------------------------------------------------------

static const struct role *choose(const char *name) {
  const struct role *role = (const struct role *)at(header.roles);
  while (*at(role->name) && !same(at(role->name), name)) role++;
  return role;
}

static int is_dropped(const char *variable) {
  for (const char *one = at(header.kept); *one; one = next(one))
    if (same(variable, one)) return 0;
  for (const char *beginning = at(header.dropped); *beginning; beginning = next(beginning))
    if (begins(variable, beginning)) return 1;
  return 0;
}

// What the kernel puts at the top of the stack: argc, argv, 0, envp, 0, pairs of the auxiliary vector.
// Returns how many words a new one takes at most.
HIDDEN word measure(const word *stack) {
  const word *p = stack + 1;
  while (*p) p++; // arguments
  p++;
  while (*p) p++; // environment
  p++;
  while (*p) p += 2; // auxiliary vector, ends with AT_NULL
  p += 2;
  return (word)(p - stack) + MOST_ADDED + PATH_WORDS;
}

// Writes the new beginning and returns where the runtime's code starts.
HIDDEN word prepare(const word *stack, word *out) {
  word moved = (word)image - header.address, argc = stack[0], n = 1;
  const word *arguments = stack + 1, *environment = arguments + argc + 1;
  const struct role *role = choose(argc ? last_part((const char *)arguments[0]) : "");
  const char *name = *at(role->name) ? at(role->name) : "spectrum";
  long made[MOST_FILES];
  make_files(role, made);
  long script = make_script(role, name, made);
  call(SYS_PRCTL, PR_SET_NAME, (long)name, 0);

  out[n++] = (word)name;
  for (const char *s = at(role->arguments); *s; s = next(s)) out[n++] = (word)s;
  word script_at = n++;
  for (word i = 1; i < argc; i++) out[n++] = arguments[i];
  out[0] = n - 1;
  out[n++] = 0;

  word new_environment = n;
  for (; *environment; environment++)
    if (!is_dropped((const char *)*environment)) out[n++] = *environment;
  for (const char *s = at(header.environment); *s; s = next(s)) out[n++] = (word)s;
  out[n++] = 0;
  // The C library has noted the old one by now.
  word **environ_address = *(word ***)(header.environ_slot + moved);
  *environ_address = out + new_environment;

  const word *auxiliary = environment + 1;
  do {
    out[n++] = auxiliary[0];
    out[n++] = auxiliary[1];
    auxiliary += 2;
  } while (auxiliary[-2]);

  char *path = (char *)(out + n), *end = path;
  for (const char *s = "/proc/self/fd/"; *s;) *end++ = *s++;
  *decimal(end, (unsigned)script) = 0;
  out[script_at] = (word)path;
  return header.entry + moved;
}

// %rsp points to the beginning that the kernel wrote, %rdx is a function of the dynamic linker that the entry
// point hands to atexit. The new beginning is written below the old one.
__asm__(".section .text.start, \"ax\"\n"
        ".globl start\n"
        "start:\n"
        "  mov %rdx, %r12\n"
        "  mov %rsp, %rbx\n"
        "  mov %rbx, %rdi\n"
        "  and $-16, %rsp\n"
        "  call measure\n"
        "  lea (,%rax,8), %rax\n"
        "  mov %rbx, %rsp\n"
        "  sub %rax, %rsp\n"
        "  and $-16, %rsp\n"
        "  mov %rsp, %rbp\n"
        "  mov %rbx, %rdi\n"
        "  mov %rbp, %rsi\n"
        "  call prepare\n"
        "  mov %rbp, %rsp\n"
        "  mov %r12, %rdx\n"
        "  xor %ebp, %ebp\n"
        "  jmp *%rax\n");
