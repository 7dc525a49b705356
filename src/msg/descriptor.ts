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

/** The contents of a message whose descriptors all stay the sender's, so that it can be sent again. */
export type Lent<T> = T extends SentFd ? Borrowed<Fd>
  : T extends readonly (infer Item)[] ? Lent<Item>[]
  : T extends object ? { readonly [K in keyof T]: Lent<T[K]> }
  : T;
