import {
  addSeals,
  type Fd,
  fdKind,
  fileStat,
  openMode,
  OsError,
  Seal,
  seals,
} from "../../os/mod.ts";

/** What a descriptor that the host sent can be to a guest. */
export type HostDescriptor =
  | { readonly kind: "socket" | "event" }
  | { readonly kind: "pipe"; readonly reads: boolean }
  | { readonly kind: "memory"; readonly size: number; readonly writable: boolean }
  | { readonly kind: "refused"; readonly reason: string };

const refused = (reason: string): HostDescriptor => ({ kind: "refused", reason });

/** Finds out what a descriptor is. Memory is sealed against shrinking: a guest must not lose what it has mapped. */
export function whatHostSent(fd: Fd): HostDescriptor {
  const kind = fdKind(fd);
  const { read, write } = openMode(fd);
  switch (kind) {
    case "socket":
    case "event":
      return { kind };
    case "pipe":
      // A named one can be both: nobody would ever see its end.
      return read && write ? refused("a pipe is both ends in one") : { kind, reads: read };
    case "memory":
      return read ? memoryOf(fd, write) : refused("memory cannot be read");
    case "other":
      return refused("a descriptor is neither memory, nor a stream socket, a pipe or an event");
  }
}

function memoryOf(fd: Fd, isWritable: boolean): HostDescriptor {
  if ((seals(fd) & Seal.Shrink) === 0) {
    try {
      addSeals(fd, Seal.Shrink);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      return refused("memory that may shrink cannot be sealed, and a guest would lose it");
    }
  }
  const { size } = fileStat(fd);
  if (size === 0) return refused("memory is empty");
  const isSealed = (seals(fd) & (Seal.Write | Seal.FutureWrite)) !== 0;
  return { kind: "memory", size, writable: isWritable && !isSealed };
}
