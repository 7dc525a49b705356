import * as v from "valibot";
import { type Borrowed, Fd, type Owned } from "../os/mod.ts";

/** A descriptor on its way out: an owned one is given away with the message, a borrowed one stays the sender's. */
export type SentFd = Owned<Fd> | Borrowed<Fd>;

/**
 * The schema of a field that holds a descriptor. The sender puts in `fd.borrow()`, or `fd.move()` to give it away; the
 * receiver's message owns it, and closes it unless it is taken by `move()`.
 */
export const descriptor = v.custom<SentFd>(
  (value) => Fd.is(value),
  "a descriptor is expected",
) as unknown as v.GenericSchema<SentFd, Owned<Fd>>;
