import { payload } from "../src/os/mod.ts";
import type { VmInput } from "../src/config/mod.ts";
import { root } from "./root.ts";
import type { Stage, StageProcess } from "./stage.ts";

const BUNDLE = `${root}build/lab/vm_driver.js`;
const PLACE = "/tmp/vm_driver.js";

/** VMs on a stage that are told what to do by `lab/vm_driver.ts`. */
export class DrivenVms {
  private constructor(private readonly stage: Stage, private readonly limit: number) {}

  /**
   * Brings the driver there, with all that it imports.
   *
   * @param limit seconds for all that one VM does: an end to a guest that hangs
   */
  static async bring(stage: Stage, limit = 300): Promise<DrivenVms> {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", "-q", "--output", BUNDLE, `${root}scripts/lab/vm_driver.ts`],
      cwd: root,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const { device, ...parts } = payload();
    const where = JSON.stringify({ ...parts, device: [...device] });
    const script = `globalThis.spectrumPayload=${where};\n${await Deno.readTextFile(BUNDLE)}`;
    await stage.run({ command: ["sh", "-c", `cat >${PLACE}`], stdin: script });
    return new DrivenVms(stage, limit);
  }

  /** Starts a VM, or one that goes on from the snapshot in `restore`; returns when its guest runs. */
  async start(input: Partial<VmInput>, restore?: string): Promise<DrivenVm> {
    const vm = new DrivenVm();
    vm.process = await this.stage.spawn({
      command: [
        ...[Deno.execPath(), "run", "-A", "--no-config", "--no-lock", PLACE],
        JSON.stringify(input),
        ...(restore === undefined ? [] : [restore]),
      ],
      timeout: this.limit,
      onOutput: (bytes, stream) => vm.see(bytes, stream),
    });
    await vm.answer("started", 0);
    return vm;
  }
}

/** A VM that is told what to do. */
export class DrivenVm {
  process!: StageProcess;
  /** Of the guest's console. */
  output = "";
  /** Of the driver and the monitor's log. */
  answers = "";
  readonly #decoder = new TextDecoder();
  /** Up to here it was waited for. */
  #at = 0;
  #wake = () => {};

  see(bytes: Uint8Array, stream: "stdout" | "stderr"): void {
    if (stream === "stdout") this.output += this.#decoder.decode(bytes, { stream: true });
    else this.answers += new TextDecoder().decode(bytes);
    this.#wake();
  }

  /** Waits for something behind what was waited for last, and gives it. */
  async seen(what: RegExp): Promise<string> {
    const text = await this.until(what);
    return text.slice(text.search(what));
  }

  /** The same, with all that came before it. */
  async until(what: RegExp): Promise<string> {
    const match = await this.#match(() => this.output, what, this.#at);
    const text = this.output.slice(this.#at, match.index + match.text.length);
    this.#at += text.length;
    return text;
  }

  /** Has the driver do something; gives how many milliseconds that took. */
  async order(line: string): Promise<number> {
    const [command] = line.split(" ");
    const from = this.answers.length;
    await this.process.write(`${line}\n`);
    return await this.answer(command, from);
  }

  /** The driver's answer to a command, behind a place in its answers. */
  async answer(command: string, from: number): Promise<number> {
    const pattern = new RegExp(`@@(ok|failed) ${command}.*\\n`);
    const { text } = await this.#match(() => this.answers, pattern, from);
    const took = /^@@ok \S+ (\d+)/.exec(text)?.[1];
    if (took === undefined) throw new Error(text);
    return Number(took);
  }

  /** Types a line at the guest's console. */
  async type(text: string): Promise<void> {
    await this.order(`type ${text}`);
  }

  async #match(
    where: () => string,
    what: RegExp,
    from: number,
  ): Promise<{ index: number; text: string }> {
    let ended = false;
    const end = this.process.status.then(() => {
      ended = true;
      this.#wake();
    });
    end.catch(() => {});
    for (;;) {
      const match = what.exec(where().slice(from));
      if (match !== null) return { index: from + match.index, text: match[0] };
      if (ended) {
        throw new Error(`The VM ended without ${what}:\n${this.output}\n${this.answers}`);
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
