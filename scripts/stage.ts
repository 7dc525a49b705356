import { type LabCommand, type LabOptions, type LabResult, LabSession, TREE } from "./lab/mod.ts";
import { ready } from "./ready.ts";
import { realKvm } from "./real_kvm.ts";

/** A command that runs on a stage. */
export interface StageProcess {
  /** The exit status, or 128 + the signal that ended it. */
  readonly status: Promise<number>;
  write(data: Uint8Array | string): Promise<void>;
  closeInput(): Promise<void>;
  signal(number: number): Promise<void>;
}

/** A place where KVM is real: this machine, or the lab. What a {@linkcode LabSession} can, a machine with KVM can, too. */
export interface Stage extends AsyncDisposable {
  spawn(command: LabCommand): Promise<StageProcess>;
  run(command: LabCommand & { stdin?: Uint8Array | string }): Promise<LabResult>;
}

/** Opens this machine where its KVM is real, else the lab, saying why. */
export async function openStage(options: LabOptions = {}): Promise<Stage> {
  const kvm = realKvm();
  if (kvm.real) return new ThisMachine();
  console.error(`The lab is used, a QEMU guest with KVM of its own: ${kvm.why}`);
  await ready("lab");
  return await LabSession.start(options);
}

class ThisMachine implements Stage {
  spawn(
    { command: [program, ...args], cwd = TREE, env, timeout, onOutput }: LabCommand,
  ): Promise<StageProcess> {
    const child = new Deno.Command(program, {
      ...{ args, cwd, env },
      ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
    }).spawn();
    const input = child.stdin.getWriter();
    const read = async (from: ReadableStream<Uint8Array>, stream: "stdout" | "stderr") => {
      for await (const bytes of from) onOutput?.(bytes, stream);
    };
    const output = Promise.all([read(child.stdout, "stdout"), read(child.stderr, "stderr")]);
    let late = false;
    const timer = timeout === undefined ? undefined : setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeout * 1000);
    return Promise.resolve({
      status: output.then(() => child.status).then(({ code }) => {
        clearTimeout(timer);
        return late ? 124 : code;
      }),
      write: async (data) =>
        await input.write(typeof data === "string" ? new TextEncoder().encode(data) : data),
      closeInput: async () => await input.close(),
      signal: (number) => {
        const name = SIGNALS[number];
        if (name === undefined) return Promise.reject(new RangeError(`signal ${number}`));
        child.kill(name);
        return Promise.resolve();
      },
    });
  }

  async run(
    { stdin, ...command }: LabCommand & { stdin?: Uint8Array | string },
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
    if (stdin !== undefined) await process.write(stdin);
    await process.closeInput();
    return { status: await process.status, ...text };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

const SIGNALS: Readonly<Record<number, Deno.Signal>> = {
  1: "SIGHUP",
  2: "SIGINT",
  9: "SIGKILL",
  10: "SIGUSR1",
  15: "SIGTERM",
};
