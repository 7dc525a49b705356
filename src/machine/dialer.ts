import { connectUnix, type Fd, type Owned } from "../os/mod.ts";
import type { SocketPath } from "../sandbox/mod.ts";

/** How this process gets at sockets that have a path: by its starter, where it is confined. */
export interface Dialer {
  /** Says beforehand which they will be. */
  admit(path: string, how?: SocketPath): void;
  /** A connection to whoever listens there. @throws OsError */
  connect(path: string): Owned<Fd>;
}

/** By itself, as long as it may. */
export const directly: Dialer = { admit: () => {}, connect: connectUnix };
