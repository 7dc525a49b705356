import { Fd, type Owned } from "./fd.ts";
import { library } from "./library.ts";
import { check } from "./os_error.ts";

/** A new pipe: the end that is read and the end that is written. */
export function pipe(): [Owned<Fd>, Owned<Fd>] {
  const ends = new Int32Array(2);
  check(library().sp_pipe(ends), "create", "a pipe");
  return [Fd.own(ends[0]), Fd.own(ends[1])];
}
