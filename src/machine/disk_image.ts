import { type Fd, fileStat, openFile, OsError, type Owned } from "../os/mod.ts";
import { lockImage } from "./image_lock.ts";
import { MachineError } from "./outcome.ts";
import { holderOf, type ImageId } from "./runtime_dir.ts";

/** How a disk's image is to be used. */
export interface DiskUse {
  readonly path: string;
  readonly readonly: boolean;
  readonly cache: "auto" | "none";
}

/** An open, locked image. */
export interface DiskImage {
  readonly fd: Owned<Fd>;
  readonly id: ImageId;
}

/**
 * Opens an image and locks it against other users.
 *
 * @throws {MachineError} when it cannot be used: missing, no permission, not a disk, in use (and by whom)
 */
export function openDisk({ path, readonly, cache }: DiskUse): DiskImage {
  using undo = new DisposableStack();
  let fd: Owned<Fd>;
  try {
    fd = undo.use(
      openFile(path, { write: !readonly, direct: cache === "none", nonBlocking: true }),
    );
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    throw new MachineError(
      "usage",
      `Cannot open the disk ${path}: ${reasonOf(error, readonly, cache)}`,
    );
  }
  const { isRegular, isBlockDevice, size, dev, ino } = fileStat(fd);
  if (!isRegular && !isBlockDevice) {
    throw new MachineError("usage", `The disk ${path} is neither a file nor a block device.`);
  }
  if (size < 512) {
    throw new MachineError("usage", `The disk ${path} is smaller than one sector of 512 bytes.`);
  }
  if (!lockImage(fd, readonly)) {
    const holder = holderOf({ dev, ino });
    const who = holder === undefined ? "another process" : `the VM "${holder}"`;
    throw new MachineError(
      "usage",
      `The disk ${path} is in use by ${who}; one image has one writer, or only readers.`,
    );
  }
  undo.move();
  return { fd, id: { dev, ino } };
}

function reasonOf(error: OsError, readonly: boolean, cache: string): string {
  switch (error.code) {
    case "ENOENT":
      return "there is no such file.";
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return readonly
        ? "permission denied."
        : "no permission to write. Use it read-only (readonly = true), or change its permissions.";
    case "EISDIR":
      return "it is a directory.";
    case "EINVAL":
      return cache === "none"
        ? 'its file system does not know O_DIRECT. Use cache = "auto".'
        : error.message;
    default:
      return error.message;
  }
}
