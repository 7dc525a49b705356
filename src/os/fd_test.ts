import assert from "node:assert/strict";
import {
  EventFd,
  Fd,
  leakedDescriptors,
  openFile,
  OsError,
  socketPair,
  trackDescriptors,
} from "./mod.ts";

const openNumbers = () => [...Deno.readDirSync("/proc/self/fd")].length;

Deno.test("disposing closes the descriptor, once", () => {
  const before = openNumbers();
  {
    using file = openFile("/dev/null");
    assert.equal(openNumbers(), before + 1);
    file[Symbol.dispose]();
    assert.equal(openNumbers(), before);
    assert.equal(file.closed, true);
  }
  assert.equal(openNumbers(), before);
});

Deno.test("a closed descriptor throws on any use", () => {
  const file = openFile("/dev/null");
  file[Symbol.dispose]();
  for (const use of [() => file.raw(), () => file.move(), () => file.dup(), () => file.share()]) {
    assert.throws(use, (error: unknown) => error instanceof OsError && error.code === "EBADF");
  }
});

Deno.test("moving leaves one owner", () => {
  const file = openFile("/dev/null");
  const number = file.raw();
  using moved = file.move();
  assert.equal(moved.raw(), number);
  assert.equal(file.closed, true);
  file[Symbol.dispose]();
  assert.equal(moved.dup().closed, false);
});

Deno.test("what is borrowed is not closed", () => {
  using event = EventFd.create();
  const token = structuredClone(event.fd.share());
  {
    const borrowed = Fd.borrow(token);
    assert.equal(borrowed.raw(), event.fd.raw());
  }
  event.signal();
  assert.equal(event.drain(), 1);
});

Deno.test("inherited: adopts an open number and closes it on exec, refuses others", () => {
  using file = openFile("/dev/null");
  using copy = Fd.inherited(file.dup().move().raw());
  const info = Deno.readTextFileSync(`/proc/self/fdinfo/${copy.raw()}`);
  assert.equal(parseInt(/flags:\s*(\d+)/.exec(info)?.[1] ?? "0", 8) & 0o2000000, 0o2000000);
  for (const bad of [987, -1, 1.5]) {
    assert.throws(() => Fd.inherited(bad), { code: "EBADF" });
  }
});

Deno.test("leaks are reported with the stack of their creation", () => {
  trackDescriptors();
  try {
    const [a, b] = socketPair();
    a[Symbol.dispose]();
    const leaks = leakedDescriptors();
    assert.equal(leaks.length, 1);
    assert.match(leaks[0], /fd_test\.ts/);
    const moved = b.move();
    assert.equal(leakedDescriptors().length, 1);
    moved[Symbol.dispose]();
    assert.deepEqual(leakedDescriptors(), []);
  } finally {
    trackDescriptors(false);
  }
});

Deno.test("every descriptor that this room makes is closed on exec", async () => {
  using file = openFile("/dev/null");
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  using event = EventFd.create();
  using copy = file.dup();
  const { stdout } = await new Deno.Command("ls", { args: ["/proc/self/fd"] }).output();
  const inherited = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
  for (const fd of [file, a, b, event.fd, copy]) {
    assert.equal(inherited.includes(fd.raw()), false, `${fd.raw()} was inherited`);
  }
});

Deno.test("a use after a move says so, and where it was moved when descriptors are tracked", () => {
  trackDescriptors();
  try {
    const file = openFile("/dev/null");
    using _moved = file.move();
    assert.throws(() => file.dup(), (error: unknown) => {
      assert(error instanceof OsError);
      assert.equal(error.message, "Cannot use a moved descriptor: bad file descriptor");
      assert(error.cause instanceof Error);
      assert.match(error.cause.stack ?? "", /moved here[^]*fd_test\.ts/);
      return true;
    });
  } finally {
    trackDescriptors(false);
  }
});

Deno.test("closing twice is an error, and closes nobody else's descriptor", () => {
  const file = openFile("/dev/null");
  const number = file.raw();
  file.close();
  using other = openFile("/dev/zero");
  assert.equal(other.raw(), number, "the number is in use again");
  assert.throws(() => file.close(), { code: "EBADF" });
  file[Symbol.dispose]();
  assert.equal(Deno.readLinkSync(`/proc/self/fd/${number}`), "/dev/zero");
});

Deno.test("a borrow is of no more use than its owner", () => {
  const file = openFile("/dev/null");
  const lent = file.borrow().borrow();
  assert.equal(lent.raw(), file.raw());
  using moved = file.move();
  assert.throws(() => lent.raw(), { message: /a moved descriptor/ });
  assert.equal(lent.closed, true);
  assert.equal(moved.closed, false);
});

Deno.test("a look-alike is told from a descriptor", () => {
  using file = openFile("/dev/null");
  assert(Fd.is(file) && Fd.is(file.borrow()));
  for (const fake of [3, null, undefined, {}, Object.create(file), Object.create(Fd.prototype)]) {
    assert.equal(Fd.is(fake), false);
  }
});

Deno.test("what is open at the exit is told with the stack of its creation", async () => {
  const program = new URL("./testdata/leak.ts", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--no-check", program] });
  const { stderr, code } = await command.output();
  const said = new TextDecoder().decode(stderr);
  assert.equal(code, 0, said);
  assert.match(said, /^1 descriptors leaked:/);
  assert.match(said, /at forgetful .*leak\.ts/);
  assert.doesNotMatch(said, /careful/);
});

Deno.test("errors say what, on what and why", () => {
  assert.throws(() => openFile("/nonexistent/x"), {
    name: "OsError",
    message: "Cannot open /nonexistent/x: no such file or directory",
    errno: 2,
    code: "ENOENT",
  });
});
