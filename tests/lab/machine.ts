import { join } from "node:path";
import {
  buildKernel,
  cacheDir,
  type CpioEntry,
  deviceImage,
  fetchDebianKernel,
  type Profile,
  showProgress,
} from "../../src/guest/mod.ts";
import {
  GUEST_READY,
  guestScript,
  LabDiedError,
  type LabResult,
  type TestGuest,
  testGuest,
  TREE,
} from "../../scripts/lab/mod.ts";
import { spectrumCommand } from "../../scripts/spectrum_command.ts";
import { systemdImage } from "./systemd_image.ts";
import { escapeImage } from "./escape/escape_image.ts";
import { guestProgram } from "./guest_program.ts";
import { wlFiles } from "./wl/guest_files.ts";
import { openStage, type Stage, type StageProcess } from "../../scripts/stage.ts";

/** `SPECTRUM_WL_KERNEL=debug`, by hand: the kernel that watches our driver. */
const WL_PROFILE: Profile = Deno.env.get("SPECTRUM_WL_KERNEL") === "debug" ? "debug" : "app";

/** The command line of the program under test. */
export type Program = readonly string[];

/** The program from source. */
export const fromSource: Program = spectrumCommand;

/** A guest to boot: a kernel and the initial RAM disk of tests. */
export interface GuestFiles extends TestGuest {
  /** What `uname -r` prints. */
  readonly version: string;
  readonly kernel: string;
}

/** A place with real KVM, and the guests that tests boot there. One for all lab tests: booting the lab is slow. */
export class Bench implements AsyncDisposable {
  #replaced = false;

  private constructor(
    private current: Stage,
    /** With Debian's kernel. */
    readonly debian: GuestFiles,
    /** With our own. */
    readonly small: GuestFiles,
    /** Data folder, as XDG_DATA_HOME names it, with an image that has systemd. */
    readonly imagesHome: string,
    /** Of a device VM in which there is hostile code. */
    readonly escapeImage: string,
    /** Both with what tests of Virtio Wayland need beyond. */
    readonly wl: { readonly debian: GuestFiles; readonly small: GuestFiles },
  ) {}

  static async open(): Promise<Bench> {
    using _ = await preparing();
    await compileSingleFile();
    const load = await guestProgram(
      "disk_load",
      new URL("recovery/disk_load.c", import.meta.url),
    );
    const vsock = await guestProgram("vsock", new URL("../vsock/vsock_guest.c", import.meta.url));
    const debian = await debianGuest(), small = await smallGuest([load, vsock]);
    const wl = {
      debian: await debianGuest(await wlFiles("debian")),
      small: await smallGuest(await wlFiles("small"), WL_PROFILE),
    };
    const imagesHome = await systemdImage(cacheDir(), showProgress());
    const escape = await escapeImage(cacheDir());
    console.error(`Guests run ${small.version}, some ${debian.version}.`);
    const stage = await openBenchStage([debian, small, wl.debian, wl.small], [imagesHome, escape]);
    return new Bench(stage, debian, small, imagesHome, escape, wl);
  }

  get stage(): Stage {
    return this.current;
  }

  /** The guest of tests to which the kernel does not matter. */
  get guest(): GuestFiles {
    return this.small;
  }

  /**
   * A step of a test. The emulation of a lab host may hang (docs/lab.md): once in a run the step is then repeated in a new
   * one, so it must bring all that it needs.
   */
  async step(
    t: Deno.TestContext,
    name: string,
    body: (t: Deno.TestContext) => Promise<void>,
  ): Promise<void> {
    await t.step(name, async (t) => {
      try {
        await body(t);
      } catch (error) {
        if (!(error instanceof LabDiedError) || this.#replaced) throw error;
        console.error(`lab: once more in a new lab host, since: ${error.message}`);
        this.#replaced = true;
        await this.current[Symbol.asyncDispose]();
        const guests = [this.debian, this.small, this.wl.debian, this.wl.small];
        this.current = await openBenchStage(guests, [this.imagesHome, this.escapeImage]);
        await body(t);
      }
    });
  }

  /** Boots a guest that runs a script and powers off, unless the script ends it otherwise. */
  async boot(
    script: string,
    flags: readonly string[] = [],
    options: {
      readonly program?: Program;
      readonly user?: boolean;
      readonly cwd?: string;
      readonly guest?: GuestFiles;
      /** Seconds. */
      readonly timeout?: number;
    } = {},
  ): Promise<LabResult> {
    const { program = fromSource, user, cwd, guest, timeout = BOOT_LIMIT } = options;
    return await this.stage.run({
      command: [...program, ...this.flags(flags, guestScript(script), guest)],
      timeout,
      user,
      cwd,
    });
  }

  /** The same with commands from the console, for tests that must look at the host meanwhile. */
  async start(
    flags: readonly string[] = [],
    files = this.guest,
    timeout = BOOT_LIMIT,
  ): Promise<RunningGuest> {
    const guest = new RunningGuest();
    guest.process = await this.stage.spawn({
      command: [...fromSource, ...this.flags(flags, "", files)],
      timeout,
      onOutput: (bytes) => guest.see(bytes),
    });
    await guest.waitFor(GUEST_READY);
    return guest;
  }

  /**
   * Runs a shell script on the host of the guests.
   *
   * @param timeout seconds
   */
  async sh(script: string, timeout = BOOT_LIMIT): Promise<LabResult> {
    return await this.stage.run({ command: ["sh", "-c", script], timeout });
  }

  /** The flags of `spectrum run` for the guest. */
  flags(more: readonly string[], word: string, guest = this.guest): string[] {
    const { kernel, initrd } = guest;
    return ["run", "--kernel", kernel, "--initrd", initrd, "--cmdline", `quiet ${word}`, ...more];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
  }
}

async function debianGuest(more: readonly CpioEntry[] = []): Promise<GuestFiles> {
  const cache = cacheDir();
  const { version, vmlinuz, modulesDir } = await fetchDebianKernel(cache, showProgress());
  return { version, kernel: vmlinuz, ...await testGuest(cache, modulesDir, showProgress(), more) };
}

async function smallGuest(
  more: readonly CpioEntry[] = [],
  profile: Profile = "app",
): Promise<GuestFiles> {
  const cache = cacheDir(), progress = showProgress();
  const { version, vmlinux, bzImage } = await buildKernel({ profile, cacheDir: cache, progress });
  const kernel = profile === "debug" ? bzImage : vmlinux;
  return { version, kernel, ...await testGuest(cache, undefined, progress, more) };
}

async function openBenchStage(
  guests: readonly GuestFiles[],
  more: readonly string[],
): Promise<Stage> {
  const files = new Set([
    ...more,
    // Made here, where that takes a second.
    await deviceImage(cacheDir()),
    ...guests.flatMap(({ initrd, tools, deno, net }) => [initrd, tools, deno, net]),
  ]);
  return await openStage({ files: [...files] });
}

/** Several lanes prepare one after the other: who comes later finds kernels and images made. */
async function preparing(): Promise<Disposable> {
  await Deno.mkdir(cacheDir(), { recursive: true });
  const file = await Deno.open(join(cacheDir(), "bench.lock"), { create: true, write: true });
  await file.lock(true);
  return file;
}

/** The lab brings `dist/` along as it is when it starts. */
async function compileSingleFile(): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "scripts/compile.ts", "--self-contained"],
    cwd: TREE,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Seconds. Far above what a boot takes in a busy lab: its end is a failure, not a measure. */
const BOOT_LIMIT = 600;

/** A guest whose console is at hand. */
export class RunningGuest {
  process!: StageProcess;
  output = "";
  readonly #decoder = new TextDecoder();
  readonly #waiting = new Set<() => void>();

  see(bytes: Uint8Array): void {
    this.output += this.#decoder.decode(bytes, { stream: true });
    this.#wake();
  }

  #wake(): void {
    for (const look of this.#waiting) look();
    this.#waiting.clear();
  }

  /** Resolves when the output contains a text. Rejects when the machine ends before. */
  async waitFor(text: string): Promise<void> {
    await this.until(() => this.output.includes(text));
  }

  /**
   * Resolves when something is so of the output. Rejects when the machine ends before.
   *
   * @param limit seconds after which it rejects, too
   */
  async until(condition: () => boolean, limit?: number): Promise<void> {
    let over: unknown;
    const end = (error: unknown) => {
      over ??= error;
      this.#wake();
    };
    const without = (what: string) => new Error(`${what} without ${condition}:\n${this.output}`);
    this.process.status.then(() => end(without("The machine ended")), end);
    const timer = limit === undefined
      ? undefined
      : setTimeout(() => end(without(`${limit} s went by`)), limit * 1000);
    try {
      while (!condition()) {
        if (over !== undefined) throw over;
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Runs a command in the guest and gives what it printed. */
  async run(command: string): Promise<string> {
    const from = this.output.length;
    const mark = `done-${crypto.randomUUID()}`;
    await this.process.write(`${command}; echo ${mark.slice(0, 5)}"${mark.slice(5)}"\n`);
    await this.waitFor(mark);
    return this.output.slice(from, this.output.indexOf(mark));
  }

  /** Powers the guest off and gives the monitor's exit status. */
  async powerOff(): Promise<number> {
    await this.process.write("poweroff\n");
    return await this.process.status;
  }
}
