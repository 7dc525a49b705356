import { cacheDir, fetchDebianKernel, showProgress } from "../../src/guest/mod.ts";
import {
  GUEST_READY,
  guestScript,
  type LabResult,
  type TestGuest,
  testGuest,
  TREE,
} from "../../scripts/lab/mod.ts";
import { spectrumCommand } from "../../scripts/spectrum_command.ts";
import { openStage, type Stage, type StageProcess } from "../../scripts/stage.ts";

/** The command line of the program under test. */
export type Program = readonly string[];

/** The program from source. */
export const fromSource: Program = spectrumCommand;

/** A guest to boot: Debian's kernel and the initial RAM disk of tests. */
export interface GuestFiles extends TestGuest {
  readonly kernel: string;
}

/** A place with real KVM, and the guest that tests boot there. One for all lab tests: booting the lab is slow. */
export class Bench implements AsyncDisposable {
  private constructor(readonly stage: Stage, readonly guest: GuestFiles) {}

  static async open(): Promise<Bench> {
    await compileSingleFile();
    const cache = cacheDir();
    const { vmlinuz, modulesDir } = await fetchDebianKernel(cache, showProgress());
    const guest = await testGuest(cache, modulesDir, showProgress());
    const stage = await openStage({ files: [guest.initrd, guest.tools] });
    return new Bench(stage, { ...guest, kernel: vmlinuz });
  }

  /** Boots a guest that runs a script and powers off, unless the script ends it otherwise. */
  async boot(
    script: string,
    flags: readonly string[] = [],
    options: { readonly program?: Program; readonly user?: boolean; readonly cwd?: string } = {},
  ): Promise<LabResult> {
    const { program = fromSource, user, cwd } = options;
    return await this.stage.run({
      command: [...program, ...this.flags(flags, guestScript(script))],
      timeout: BOOT_LIMIT,
      user,
      cwd,
    });
  }

  /** The same with commands from the console, for tests that must look at the host meanwhile. */
  async start(flags: readonly string[] = []): Promise<RunningGuest> {
    const guest = new RunningGuest();
    guest.process = await this.stage.spawn({
      command: [...fromSource, ...this.flags(flags, "")],
      onOutput: (bytes) => guest.see(bytes),
    });
    await guest.waitFor(GUEST_READY);
    return guest;
  }

  /** Runs a shell script on the host of the guests. */
  async sh(script: string): Promise<LabResult> {
    return await this.stage.run({ command: ["sh", "-c", script], timeout: BOOT_LIMIT });
  }

  /** The flags of `spectrum run` for the guest. */
  flags(more: readonly string[], word: string): string[] {
    const { kernel, initrd } = this.guest;
    return ["run", "--kernel", kernel, "--initrd", initrd, "--cmdline", `quiet ${word}`, ...more];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
  }
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
const BOOT_LIMIT = 900;

/** A guest whose console is at hand. */
export class RunningGuest {
  process!: StageProcess;
  output = "";
  readonly #decoder = new TextDecoder();
  #seen: () => void = () => {};

  see(bytes: Uint8Array): void {
    this.output += this.#decoder.decode(bytes, { stream: true });
    this.#seen();
  }

  /** Resolves when the output contains a text. Rejects when the machine ends before. */
  async waitFor(text: string): Promise<void> {
    let ended = false;
    const end = this.process.status.then(() => {
      ended = true;
      this.#seen();
    });
    end.catch(() => {});
    while (!this.output.includes(text)) {
      if (ended) throw new Error(`The machine ended without "${text}":\n${this.output}`);
      await new Promise<void>((resolve) => this.#seen = resolve);
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
