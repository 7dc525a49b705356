import { Fd } from "./fd.ts";
import { cString, monitor } from "./library.ts";
import { check } from "./os_error.ts";

/** Rights to a file, or to all beneath a folder (LANDLOCK_ACCESS_FS_* of linux/landlock.h). */
export const FileRight = {
  WRITE_FILE: 1 << 1,
  READ_FILE: 1 << 2,
  READ_DIR: 1 << 3,
  REMOVE_DIR: 1 << 4,
  REMOVE_FILE: 1 << 5,
  MAKE_REG: 1 << 8,
  MAKE_SOCK: 1 << 9,
  /** From Linux 6.2 on; before, nobody is kept from it. */
  TRUNCATE: 1 << 14,
} as const;

/** A file or a folder, with what may be done with it. */
export interface PathRule {
  readonly path: string;
  readonly rights: readonly (keyof typeof FileRight)[];
}

/**
 * Forbids all threads of this process, for good, to open, make and remove files but as these rules allow (landlock(7)).
 * What is open stays open; to look at a path stays possible, and so do connections to sockets of paths.
 *
 * @throws OsError ENOSYS or EOPNOTSUPP where the kernel has no Landlock
 */
export function restrictPaths(allowed: readonly PathRule[]): void {
  using rules = Fd.own(check(monitor().sp_landlock_rules(), "restrict", "files"));
  for (const { path, rights } of allowed) {
    const bits = rights.reduce((all, right) => all | FileRight[right], 0);
    check(monitor().sp_landlock_allow(rules.raw(), cString(path), bits), "allow", path);
  }
  check(monitor().sp_landlock_restrict(rules.raw()), "restrict", "files");
}
