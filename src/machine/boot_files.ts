import { type BootFile, KernelError, openBootFile } from "../boot/mod.ts";
import type { Window } from "../os/mod.ts";
import type { BootPlan } from "./boot_plan.ts";

/** The files of a boot plan, opened once: a reset boots the same ones, whatever their paths lead to by then. */
export class BootFiles implements Disposable {
  readonly cmdline: string;
  readonly #kernel: BootFile | KernelError;
  readonly #initrd: BootFile | KernelError | undefined;

  /** What cannot be opened is told when it is booted: a machine that was restored may never be. */
  constructor({ kernel, initrd, cmdline }: BootPlan, window: Window) {
    this.cmdline = cmdline;
    this.#kernel = attempt(() => openBootFile(kernel, window));
    this.#initrd = initrd === undefined
      ? undefined
      : attempt(() => openBootFile(initrd, window, "initrd"));
  }

  /** @throws {KernelError} */
  get kernel(): BootFile {
    return opened(this.#kernel);
  }

  /** @throws {KernelError} */
  get initrd(): BootFile | undefined {
    return this.#initrd && opened(this.#initrd);
  }

  [Symbol.dispose](): void {
    for (const file of [this.#kernel, this.#initrd]) {
      if (!(file instanceof KernelError)) file?.[Symbol.dispose]();
    }
  }
}

function attempt(open: () => BootFile): BootFile | KernelError {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error;
  }
}

function opened(file: BootFile | KernelError): BootFile {
  if (file instanceof KernelError) throw file;
  return file;
}
