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
  switch (kind) {
    case "socket":
    case "event":
      return { kind };
    case "pipe":
      return { kind, reads: openMode(fd).read };
    case "memory":
      return memoryOf(fd);
    case "other":
      return refused("a descriptor is neither memory, nor a stream socket, a pipe or an event");
  }
}

function memoryOf(fd: Fd): HostDescriptor {
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
  const sealed = (seals(fd) & (Seal.Write | Seal.FutureWrite)) !== 0;
  return { kind: "memory", size, writable: openMode(fd).write && !sealed };
}
