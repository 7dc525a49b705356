import { AgentError } from "./agent_error.ts";
import type { GuestCommandOptions, GuestProcess, GuestStatus } from "./guest_process.ts";

/** What a command in a guest may print by default, in bytes of each stream. */
const MAX_OUTPUT = 64 * 2 ** 20;

/**
 * A command for a guest that is run to its end.
 *
 * @example
 * ```ts
 * const options: GuestExecOptions = { input: "hello\n", env: { LANG: "C.UTF-8" } };
 * ```
 */
export interface GuestExecOptions extends Omit<GuestCommandOptions, "terminal"> {
  /** Standard input; nothing by default. */
  readonly input?: string | Uint8Array;
  /** Most bytes that it may print on standard output, and on standard error; 64 MiB by default. */
  readonly maxOutput?: number;
}

/**
 * What a command did.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const { status, stdout }: GuestOutput = await vm.exec(["uname", "-s"]);
 * console.log(status, new TextDecoder().decode(stdout));
 * ```
 */
export interface GuestOutput extends GuestStatus {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/** Gives a command its input, and gathers what it prints. @throws {AgentError} also when it prints too much */
export async function runCommand(
  process: GuestProcess,
  { input = "", maxOutput = MAX_OUTPUT }: GuestExecOptions,
): Promise<GuestOutput> {
  using running = process;
  const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
  void feed(running.stdin, bytes);
  const [stdout, stderr, status] = await Promise.all([
    gather(running.stdout, maxOutput),
    gather(running.stderr, maxOutput),
    running.status,
  ]);
  return { ...status, stdout, stderr };
}

async function feed(stdin: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = stdin.getWriter();
  try {
    if (bytes.length > 0) await writer.write(bytes);
    await writer.close();
  } catch {
    // A command need not read all of its input; other failures are its status's, too.
  }
}

async function gather(stream: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array> {
  let whole = new Uint8Array(4096);
  let length = 0;
  for await (const bytes of stream) {
    if (length + bytes.length > limit) {
      throw new AgentError(`The command printed more than ${limit} bytes.`);
    }
    if (length + bytes.length > whole.length) {
      const longer = new Uint8Array(Math.max(length + bytes.length, 2 * whole.length));
      longer.set(whole.subarray(0, length));
      whole = longer;
    }
    whole.set(bytes, length);
    length += bytes.length;
  }
  return whole.subarray(0, length);
}
