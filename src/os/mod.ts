/** The only place that calls the operating system: descriptors, memory windows, events, sockets, files. */

export { Errno, errorCode, errorText } from "./errno.ts";
export { EventFd } from "./event_fd.ts";
export {
  type Borrowed,
  closeOwned,
  Fd,
  leakedDescriptors,
  type Owned,
  reportLeaksAtExit,
  type SharedFd,
  trackDescriptors,
} from "./fd.ts";
export {
  changeMode,
  type FdKind,
  fdKind,
  type FileStat,
  fileStat,
  isTerminal,
  openFile,
  type OpenFlags,
  openMode,
  pathOf,
  read,
  reopen,
  truncate,
  write,
  writeAll,
} from "./file.ts";
export { interfaceSocket, tryPort } from "./inet.ts";
export { IoVector, MAX_VECTOR } from "./io_vector.ts";
export { ioctl, ioctlAt, ioctlFd, ioctlRaw } from "./ioctl.ts";
export { FileRight, type PathRule, restrictPaths } from "./landlock.ts";
export { type LibraryKind, useLibrary } from "./library.ts";
export { type LockKind, testLock, tryLock, unlock } from "./lock.ts";
export { addSeals, memfd, Seal, seals } from "./memfd.ts";
export {
  isRead,
  MAX_DESCRIPTORS,
  MessageFlags,
  type Received,
  receiveMessage,
  receivePiece,
  receiveVector,
  sendMessage,
  sendVector,
} from "./message.ts";
export { check, OsError } from "./os_error.ts";
export { monitorFlags, type Payload, payload, workerFlags } from "./payload.ts";
export { pipe } from "./pipe.ts";
export { Events, Poller } from "./poller.ts";
export { type ExitStatus, processDescriptor, reap, redirect, spawnStarter } from "./process.ts";
export { RangeAllocator } from "./range_allocator.ts";
export { Reactor } from "./reactor.ts";
export {
  filterCalls,
  forbidInspection,
  forbidNewCode,
  ignoreInspectorSignal,
  installKickSignal,
  kickThread,
  kvmRunLimited,
  nameForbiddenCalls,
  resetEndingSignals,
  threadId,
} from "./signals.ts";
export {
  blockDiscard,
  blockZeroout,
  fallocate,
  FallocateMode,
  fdatasync,
  getrandom,
  pollOne,
  pread,
  preadv,
  pwrite,
  pwritev,
  readv,
  readvNow,
  writev,
  writevNow,
} from "./transfer.ts";
export {
  acceptUnix,
  connectUnix,
  listenUnix,
  type Peer,
  peerOf,
  setNonBlocking,
  shutdownRead,
  shutdownWrite,
  socketPair,
  SocketType,
  unixSocket,
} from "./unix_socket.ts";
export { attachTapQueue, checksum, setTapOffload, TapFlag, tapFlags, TapOffload } from "./tap.ts";
export { SocketStream } from "./socket_stream.ts";
export { fillPages, savePages } from "./sparse_file.ts";
export { type NoUring, Uring } from "./uring.ts";
export { makeDoorbell, MAX_VFDS, receiveVfds, sendVfds, VirtioWl } from "./virtio_wl.ts";
export { PAGE_SIZE, Window, type WindowToken } from "./window.ts";
