import { type Fd, type Owned, setNonBlocking, unixSocket } from "../os/mod.ts";
import { Admit, type PathRequest, Request } from "./starter_protocol.ts";

/** How a path leads to a socket. */
export interface SocketPath {
  /** A number, in decimal digits, follows it. */
  readonly numbered?: boolean;
  /** Its last part is no link: somebody else may change the folder. */
  readonly noLink?: boolean;
  /** It is in a folder of its own, and both are removed when the starter ends. */
  readonly ours?: boolean;
}

type Ask = (request: PathRequest, fds?: readonly Fd[]) => Owned<Fd>[];

/** A snapshot's files, in a folder that is removed unless it is {@linkcode complete}. */
export class NewSnapshot implements Disposable {
  readonly manifest: Fd;
  readonly state: Fd;
  readonly regions: readonly Fd[];
  readonly #ask: Ask;
  readonly #files: readonly Owned<Fd>[];
  #isOver = false;

  constructor(ask: Ask, path: string, regions: number) {
    this.#ask = ask;
    this.#files = ask({ kind: Request.Save, detail: regions, path });
    [this.manifest, this.state, ...this.regions] = this.#files;
  }

  /** Gives the folder its name. @throws OsError when it cannot have it; then it is removed */
  complete(): void {
    this.#end(true);
  }

  #end(isWhole: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ask({ kind: Request.Saved, detail: isWhole ? 1 : 0 });
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]();
    this.#end(false);
  }
}

/** What the starter does with paths for a monitor that may open none (`ffi/paths.c`). It waits for each answer. */
export class StarterPaths {
  readonly #ask: Ask;
  readonly #tell: (request: PathRequest) => void;

  /**
   * @param ask throws OsError
   * @param tell for what has no answer
   */
  constructor(ask: Ask, tell: (request: PathRequest) => void) {
    this.#ask = ask;
    this.#tell = tell;
  }

  /** Lets a sealed starter connect to a socket. Has no effect once it is sealed. */
  admit(path: string, { numbered, noLink, ours }: SocketPath = {}): void {
    const detail = (numbered ? Admit.numbered : 0) | (noLink ? Admit.noLink : 0) |
      (ours ? Admit.ours : 0);
    this.#tell({ kind: Request.Admit, detail, path });
  }

  /**
   * A connection to a socket. To its listener the starter seems to be at the other end.
   *
   * @throws OsError EPERM when the starter is sealed and the path was not admitted
   */
  connect(path: string): Owned<Fd> {
    using socket = unixSocket();
    this.#ask({ kind: Request.Connect, detail: 0, path }, [socket]);
    setNonBlocking(socket, false);
    return socket.move();
  }

  /**
   * Begins a snapshot: a folder that is new, for its user alone. One at a time.
   *
   * @param path absolute; its last part is new
   * @param regions how many files of memory there are
   * @throws OsError EEXIST when it is not new
   */
  newSnapshot(path: string, regions: number): NewSnapshot {
    return new NewSnapshot(this.#ask, path, regions);
  }
}
