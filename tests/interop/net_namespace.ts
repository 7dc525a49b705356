/** A network namespace of a test, where it may make interfaces whoever it is. */
export class NetNamespace implements AsyncDisposable {
  /** A command that runs the one that follows it in here. */
  readonly enter: readonly string[];

  private constructor(private readonly holder: Deno.ChildProcess) {
    const isRoot = Deno.uid() === 0;
    const user = isRoot ? [] : ["-U", "--preserve-credentials"];
    this.enter = ["nsenter", "-t", String(holder.pid), "-n", ...user];
  }

  /** Makes one with a loopback interface. Throws with what was said where that cannot be. */
  static async create(): Promise<NetNamespace> {
    const user = Deno.uid() === 0 ? [] : ["-r"];
    const holder = new Deno.Command("unshare", {
      args: ["-n", ...user, "sh", "-c", "ip link set lo up && echo ready && exec cat"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    if (value !== undefined) return new NetNamespace(holder);
    await holder.status;
    throw new Error(`no network namespace: ${await new Response(holder.stderr).text()}`);
  }

  /** Whether this user can make one here. */
  static async isPossible(): Promise<boolean> {
    try {
      await using _namespace = await NetNamespace.create();
      return true;
    } catch (error) {
      console.log(error instanceof Error ? error.message.trim() : error);
      return false;
    }
  }

  /** Runs a script of sh; throws with what it said when it fails. */
  async run(script: string): Promise<void> {
    const [program, ...args] = [...this.enter, "sh", "-ec", script];
    const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
    if (!success) throw new Error(`${script}\n${new TextDecoder().decode(stderr)}`);
  }

  /** Starts a program that runs until it is killed. */
  spawn(command: readonly string[]): Deno.ChildProcess {
    const [program, ...args] = [...this.enter, ...command];
    return new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.holder.stdin.close();
    await this.holder.stdout.cancel();
    await this.holder.stderr.cancel();
    await this.holder.status;
  }
}
