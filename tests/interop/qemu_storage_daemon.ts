/** Starts qemu-storage-daemon (Debian package qemu-system-common or qemu-utils) as a peer for tests. */

/** A running daemon that exports one image over vhost-user. */
export class QemuStorageDaemon implements AsyncDisposable {
  private constructor(readonly socket: string, private readonly process: Deno.ChildProcess) {}

  /** Where this machine has it, if it does. */
  static available(): boolean {
    try {
      return new Deno.Command("qemu-storage-daemon", { args: ["--version"] }).outputSync().success;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Exports an image, writable, and waits until it listens. */
  static async start(folder: string, image: string, queues: number): Promise<QemuStorageDaemon> {
    const socket = `${folder}/qsd.sock`;
    const process = new Deno.Command("qemu-storage-daemon", {
      args: [
        "--blockdev",
        `driver=file,node-name=file0,filename=${image}`,
        "--blockdev",
        "driver=raw,node-name=disk0,file=file0",
        "--export",
        `type=vhost-user-blk,id=export0,node-name=disk0,writable=on,num-queues=${queues},` +
        `addr.type=unix,addr.path=${socket}`,
      ],
      stdin: "null",
    }).spawn();
    const daemon = new QemuStorageDaemon(socket, process);
    for (let i = 0; i < 200; i++) {
      if (await exists(socket)) return daemon;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    await daemon[Symbol.asyncDispose]();
    throw new Error("qemu-storage-daemon did not listen within 5 s");
  }

  /** Stops it in its tracks, or lets it go on. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.process.status;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
