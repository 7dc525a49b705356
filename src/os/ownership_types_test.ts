// What must not compile. Each `@ts-expect-error` is itself an error when the line below it does compile, so that
// `deno check` fails as soon as one of these rules is lost.
import { type Borrowed, EventFd, type Fd, openFile, type Owned } from "./mod.ts";

const owner = (fd: Owned<Fd>) => fd.closed;
const lender = (fd: Borrowed<Fd>) => fd.closed;
const user = (fd: Fd) => fd.closed;

Deno.test("owned and borrowed descriptors are not interchangeable; both can be used", () => {
  using file = openFile("/dev/null");
  const lent = file.borrow();
  user(file);
  user(lent);
  owner(file);
  lender(lent);
  // @ts-expect-error -- a borrow is no owner
  owner(lent);
  // @ts-expect-error -- giving an owner where a borrow is meant must be said: file.borrow()
  lender(file);
  // @ts-expect-error -- whoever is handed "some descriptor" does not own it
  ((fd: Fd) => owner(fd))(file);
});

Deno.test("only an owner can close or hand on", () => {
  using file = openFile("/dev/null");
  const lent = file.borrow();
  // @ts-expect-error -- nothing to dispose of
  ((fd: Borrowed<Fd>): Disposable => fd)(lent);
  // @ts-expect-error -- the same for some descriptor
  ((fd: Fd): Disposable => fd)(file);
  // @ts-expect-error -- it is the lender's, who alone can move it
  (() => lent.move());
  // @ts-expect-error -- an event takes over only what its peer gave away
  (() => EventFd.adopt(lent));
});

Deno.test("a look-alike is no descriptor, also for the compiler", () => {
  // @ts-expect-error -- the parts that make one are private
  user({ closed: false, raw: () => 3, share: () => ({ sharedDescriptor: 3 }) });
  // @ts-expect-error -- and a number is none
  (() => user(3));
});
