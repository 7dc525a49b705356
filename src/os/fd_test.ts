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
    using borrowed = Fd.borrow(token);
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

Deno.test("errors say what, on what and why", () => {
  assert.throws(() => openFile("/nonexistent/x"), {
    name: "OsError",
    message: "Cannot open /nonexistent/x: no such file or directory",
    errno: 2,
    code: "ENOENT",
  });
});
