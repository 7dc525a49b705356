/** A device of ours as a process that listens for any frontend: `spectrum device KIND --socket PATH …`. */

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** A running `spectrum device`. */
export class DeviceProcess implements AsyncDisposable {
  /** What it said on standard error, when it has ended. */
  readonly said: Promise<string>;

  private constructor(readonly socket: string, private readonly process: Deno.ChildProcess) {
    this.said = new Response(process.stderr).text();
  }

  get pid(): number {
    return this.process.pid;
  }

  /**
   * Starts one and waits until it listens.
   *
   * @param within a command that runs the one that follows it, for example in a namespace
   */
  static async start(
    kind: string,
    socket: string,
    words: readonly string[],
    within: readonly string[] = [],
  ): Promise<DeviceProcess> {
    const command = [Deno.execPath(), "run", "-A", MAIN, "device", kind, "--socket", socket];
    const [program, ...args] = [...within, ...command, ...words];
    const device = new DeviceProcess(
      socket,
      new Deno.Command(program, {
        args,
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn(),
    );
    let ended = false;
    device.process.status.then(() => ended = true);
    for (let i = 0; i < 400 && !ended; i++) {
      if (await Deno.stat(socket).then(() => true, () => false)) return device;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    await device.kill();
    throw new Error(`The ${kind} device does not listen. It said:\n${await device.said}`);
  }

  /** Ends it at once, and its worker with it. */
  async kill(): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.said;
  }
}
