import { type Fd, MAX_DESCRIPTORS, type Owned, receivePiece, shutdownWrite } from "../../os/mod.ts";
import { SocketTransport } from "../../msg/mod.ts";

/** The connection of a program in the guest. Descriptors come with the byte that they were sent with. */
export class LocalEnd extends SocketTransport {
  /** @param fd moves in here */
  constructor(fd: Owned<Fd>) {
    super(fd, "a Unix socket", MAX_DESCRIPTORS, receivePiece);
  }

  /** The program reads the end of the stream, when it has read what came before. */
  end(): void {
    shutdownWrite(this.fd);
  }
}
