import { dirname, join } from "node:path";
import { cacheDir, fetchDebianKernel, type Progress, showProgress } from "../../src/guest/mod.ts";
import { AgentClient, type LabProcess, type OnOutput } from "./agent_client.ts";
import { agentProgram } from "./images/agent_program.ts";
import { hostImage } from "./images/host_image.ts";
import { makeScratch } from "./images/scratch.ts";
import { labInitrd } from "./images/lab_initrd.ts";
import { labKernel } from "./images/lab_kernel.ts";
import { distImage, extraImage, kernelsImage, npmImage, treeImage } from "./images/work_images.ts";
import { labDied, LabDiedError } from "./lab_died_error.ts";
import { limited } from "./limit.ts";
import { type Hardware, startQemu } from "./qemu.ts";

/** How to boot a lab host. */
export interface LabOptions {
  /** MiB, by default 8192 or three quarters of what the machine has free. */
  readonly memory?: number;
  /** Default 1: with more, the emulation corrupts guests now and then (docs/lab.md). */
  readonly cpus?: number;
  /** Size of /scratch in GiB (it starts as a hole), default 6. */
  readonly scratch?: number;
  /** Host files and folders to bring along, at the same paths, beside the working tree and the guest kernels. */
  readonly files?: readonly string[];
  /** Boot takes longer than this, in seconds: the lab host is taken for dead. Default 120. */
  readonly bootTimeout?: number;
  readonly progress?: Progress;
}

/** A command for the lab host. */
export interface LabCommand {
  readonly command: readonly string[];
  /** Default: the working tree. */
  readonly cwd?: string;
  /** Added to the lab's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Gives it a terminal of this size. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
  /** Runs it as an ordinary user who is in the group kvm. */
  readonly user?: boolean;
  /** In seconds, after which it is killed and its status is 124. */
  readonly timeout?: number;
  readonly onOutput?: OnOutput;
}

/** What a command that ended left. */
export interface LabResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The working tree that this file is part of. */
export const TREE = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

const READY_TIMEOUT = 120;
/** How often the lab host has to answer, in milliseconds, and how long that may take. */
const PULSE_MS = 10_000;
const PULSE_PATIENCE_MS = 90_000;
const CONSOLE_LIMIT = 200_000;

/** A lab host that runs, until it is disposed of. */
export class LabSession implements AsyncDisposable {
  readonly #qemu: Deno.ChildProcess;
  readonly #agent: AgentClient;
  readonly #cache: string;
  #console = "";
  #exited = false;
  #ending = false;
  #pulse: ReturnType<typeof setTimeout> | undefined;

  private constructor(hardware: Hardware, cache: string) {
    this.#cache = cache;
    this.#qemu = startQemu(hardware);
    const console = this.#readConsole();
    const status = this.#qemu.status.then((status) => {
      this.#exited = true;
      return status;
    });
    this.#agent = new AgentClient(this.#qemu.stdin, this.#qemu.stdout, async () => {
      await console;
      return labDied(this.#console, await status);
    });
  }

  /** Boots a lab host: builds what has changed of its images, starts QEMU, waits for the agent. */
  static async start(options: LabOptions = {}): Promise<LabSession> {
    const progress = options.progress ?? showProgress();
    const cache = cacheDir();
    const kernel = await fetchDebianKernel(cache, progress);
    const layers = [
      await hostImage(cache, progress),
      await kernelsImage(cache, progress),
      await npmImage(denoDir(), cache, progress),
      await distImage(TREE, cache, progress),
      await treeImage(TREE, cache, progress),
    ];
    if (options.files !== undefined && options.files.length > 0) {
      layers.push(await extraImage(options.files, cache, progress));
    }
    const scratch = await makeScratch(cache, options.scratch ?? 6);
    try {
      progress("lab: booting the lab host");
      const session = new LabSession({
        kernel: await labKernel(cache, kernel),
        initrd: await labInitrd(cache, kernel, await agentProgram(cache)),
        memory: options.memory ?? defaultMemory(),
        cpus: options.cpus ?? 1,
        layers,
        scratch,
      }, cache);
      await session.#ready(options.bootTimeout ?? READY_TIMEOUT);
      session.#feelPulse();
      return session;
    } finally {
      // QEMU has it open: without a name it cannot be left behind.
      await Deno.remove(scratch);
    }
  }

  /** Process id of QEMU. */
  get pid(): number {
    return this.#qemu.pid;
  }

  /** What the lab host's kernel has printed so far. */
  get console(): string {
    return this.#console;
  }

  /** Starts a command; its input stays open. */
  async spawn(command: LabCommand): Promise<LabProcess> {
    const process = await this.#agent.spawn({
      command: command.command,
      cwd: command.cwd ?? TREE,
      env: { ...environment(this.#cache, command.user === true), ...command.env },
      terminal: command.terminal,
      user: command.user === true,
    }, command.onOutput ?? (() => {}));
    const { timeout } = command;
    return timeout === undefined ? process : process.withStatus(
      limited(process.status, (number) => process.signal(number), timeout, {
        sh: async (script) => (await this.run({ command: ["sh", "-c", script] })).stdout,
        console: () => this.#console,
        kill: () => this.kill(),
      }),
    );
  }

  /**
   * Runs a command to its end.
   *
   * @param command.stdin what it reads; nothing by default
   * @throws {LabDiedError} when the lab host dies
   */
  async run(
    command: LabCommand & { stdin?: Uint8Array | string },
  ): Promise<LabResult> {
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    const text = { stdout: "", stderr: "" };
    const process = await this.spawn({
      ...command,
      onOutput: (bytes, stream) => {
        text[stream] += decoders[stream].decode(bytes, { stream: true });
        command.onOutput?.(bytes, stream);
      },
    });
    if (command.stdin !== undefined) await process.write(command.stdin);
    await process.closeInput();
    return { status: await process.status, ...text };
  }

  /** Writes a file in the lab host. */
  async writeFile(path: string, data: Uint8Array | string): Promise<void> {
    const result = await this.run({
      command: ["sh", "-c", 'cat >"$1"', "sh", path],
      stdin: data,
      cwd: "/",
    });
    if (result.status !== 0) {
      throw new Error(`Cannot write ${path} in the lab: ${result.stderr.trim()}`);
    }
  }

  /** Copies what is in a folder of the lab host into a folder of the host, which is made. */
  async copyOut(from: string, to: string): Promise<void> {
    await Deno.mkdir(to, { recursive: true });
    const tar = new Deno.Command("tar", { args: ["-x", "-C", to], stdin: "piped", stdout: "null" })
      .spawn();
    const writer = tar.stdin.getWriter();
    let writes = Promise.resolve();
    const process = await this.spawn({
      command: ["busybox", "tar", "-c", "-C", from, "."],
      cwd: "/",
      onOutput: (bytes, stream) => {
        if (stream === "stdout") writes = writes.then(() => writer.write(bytes));
      },
    });
    const status = await process.status;
    await writes;
    await writer.close();
    if (status !== 0 || !(await tar.status).success) {
      throw new Error(`Cannot copy ${from} of the lab to ${to}`);
    }
  }

  /**
   * Its emulated timer may stop, and then all that sleeps sleeps on until something else wakes its processor: this does,
   * again and again. A lab host that does not answer is ended, and with it what waits for it.
   */
  #feelPulse(): void {
    this.#pulse = setTimeout(async () => {
      const late = setTimeout(() => {
        console.error("lab: the lab host does not answer any more, and is ended");
        this.kill();
      }, PULSE_PATIENCE_MS);
      try {
        await this.run({ command: ["true"], cwd: "/" });
        if (!this.#ending) this.#feelPulse();
      } catch (error) {
        // Whoever uses it is told, too.
        if (!(error instanceof LabDiedError)) throw error;
      } finally {
        clearTimeout(late);
      }
    }, PULSE_MS);
  }

  #endPulse(): void {
    this.#ending = true;
    clearTimeout(this.#pulse);
  }

  /** Ends the lab host at once. */
  kill(): void {
    this.#endPulse();
    if (this.#exited) return;
    try {
      this.#qemu.kill("SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }

  /** Powers the lab host off; one that does not within two seconds is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#endPulse();
    const timer = setTimeout(() => this.kill(), 2000);
    await this.#agent.powerOff();
    await this.#qemu.status;
    clearTimeout(timer);
  }

  async #ready(seconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new LabDiedError(`it did not boot within ${seconds} s`, this.#console.slice(-2000)),
          ),
        seconds * 1000,
      );
    });
    try {
      await Promise.race([this.#agent.ready, late]);
    } catch (error) {
      this.kill();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #readConsole(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#qemu.stderr) {
      this.#console = (this.#console + decoder.decode(chunk, { stream: true })).slice(
        -CONSOLE_LIMIT,
      );
    }
  }
}

/** The environment of commands: nothing of the host's but places. */
function environment(cache: string, user: boolean): Record<string, string> {
  return {
    PATH: `${dirname(Deno.execPath())}:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin`,
    HOME: user ? "/home/user" : "/root",
    USER: user ? "user" : "root",
    TERM: "linux",
    XDG_RUNTIME_DIR: user ? "/run/user/1000" : "/run/user/0",
    XDG_CACHE_HOME: user ? "/home/user/.cache" : join(cache, ".."),
    DENO_DIR: denoDir(),
    DENO_NO_UPDATE_CHECK: "1",
    SPECTRUM_LAB: "1",
  };
}

function denoDir(): string {
  return Deno.env.get("DENO_DIR") ?? join(Deno.env.get("HOME") ?? "/root", ".cache", "deno");
}

function defaultMemory(): number {
  return Math.min(8192, Math.floor((Deno.systemMemoryInfo().available / 2 ** 20) * 0.75));
}
