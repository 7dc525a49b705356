import { AgentError, AgentLostError, type GuestProcess, type TerminalSize } from "../agent/mod.ts";
import { findRunningVm, NoSuchVmError, Vm } from "../control/mod.ts";
import type { Log } from "../machine/mod.ts";
import type { ExecFlags } from "./exec.ts";
import { RawTerminal } from "./raw_terminal.ts";

const CHUNK = 65_536;
/** What a shell has for a program that SIGPIPE ended. */
const BROKEN_PIPE = 141;
/** Those that end a program and may be sent on, and the number of each. SIGUSR1 is the runtime's. */
const PASSED_ON = { SIGINT: 2, SIGQUIT: 3, SIGTERM: 15, SIGUSR2: 12 } as const;
/** The signal after which the command is left, whatever it does. */
const PATIENCE = 3;

/**
 * Runs a command in a guest with our standard streams, terminal and signals.
 *
 * @returns the exit status
 * @throws {AgentError} when it cannot be run, or its end is not known
 */
export async function execInGuest(
  name: string,
  command: readonly string[],
  { user, env = [], cwd, tty, stdin, timeout }: ExecFlags,
  log: Log,
): Promise<number> {
  const typed = Deno.stdin.isTerminal();
  const terminal = tty ?? (typed && Deno.stdout.isTerminal() && stdin);
  await using vm = await Vm.connect(name);
  using process = await vm.spawn(command, {
    ...{ user, cwd, waitMs: timeout * 1000 },
    env: { ...(terminal ? terminalVariables() : {}), ...variables(env) },
    terminal: terminal ? terminalSize() : undefined,
    onWait: () => void sayWhatFor(vm, log),
  });
  using _raw = terminal && typed ? new RawTerminal() : undefined;
  using signals = new PassedSignals(process, terminal);
  void feed(process, stdin);
  try {
    await Promise.all([show(process.stdout, Deno.stdout), show(process.stderr, Deno.stderr)]);
    return (await process.status).status;
  } catch (error) {
    if (signals.endedBy !== undefined) return 128 + signals.endedBy;
    if (error instanceof Deno.errors.BrokenPipe) return BROKEN_PIPE;
    throw error instanceof AgentLostError ? await lost(name, error) : error;
  }
}

function variables(env: readonly string[]): Record<string, string> {
  return Object.fromEntries(env.flatMap((word) => {
    const [, key, value] = /^([^=]+)=([^]*)$/.exec(word) ?? [];
    if (key !== undefined) return [[key, value]];
    // As docker has it: a name alone is our own variable of that name, if there is one.
    const own = Deno.env.get(word);
    return own === undefined ? [] : [[word, own]];
  }));
}

function terminalVariables(): Record<string, string> {
  const kind = Deno.env.get("TERM");
  return kind === undefined ? {} : { TERM: kind };
}

function terminalSize(): TerminalSize {
  try {
    return Deno.consoleSize();
  } catch {
    return { rows: 24, columns: 80 };
  }
}

async function sayWhatFor(vm: Vm, log: Log): Promise<void> {
  const state = await vm.info().then(({ state }) => state, () => "running");
  const hint = state === "paused" ? `, which is paused: spectrum resume ${vm.name}` : "";
  log.warn(`waiting for the agent in the guest of "${vm.name}"${hint}`);
}

/** Why a command's end is not known. */
async function lost(name: string, cause: AgentLostError): Promise<AgentError> {
  // The monitor takes a moment to end after its devices.
  for (let attempt = 0; attempt < 30; attempt++) {
    try {
      findRunningVm(name);
    } catch (error) {
      if (!(error instanceof NoSuchVmError)) throw error;
      return new AgentError(`The VM "${name}" ended while the command ran.`, 125, { cause });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return new AgentError(
    `The connection to the agent in "${name}" ended while the command ran: the guest restarted, or its agent was killed.`,
    125,
    { cause },
  );
}

/** Our standard input is the command's. */
async function feed({ stdin }: GuestProcess, connected: boolean): Promise<void> {
  const writer = stdin.getWriter();
  try {
    const buffer = new Uint8Array(CHUNK);
    while (connected) {
      const count = await Deno.stdin.read(buffer);
      if (count === null) break;
      await writer.write(buffer.slice(0, count));
    }
    await writer.close();
  } catch {
    // The command reads no more, or has ended, which its status says.
  }
}

async function show(
  stream: ReadableStream<Uint8Array>,
  output: { write(bytes: Uint8Array): Promise<number> },
): Promise<void> {
  for await (const bytes of stream) {
    for (let at = 0; at < bytes.length;) at += await output.write(bytes.subarray(at));
  }
}

/** Signals to this process are the command's, and so is the size of its terminal. */
class PassedSignals implements Disposable {
  /** The signal that had us leave the command. */
  endedBy: number | undefined;
  readonly #listeners = new Map<Deno.Signal, () => void>();

  constructor(process: GuestProcess, terminal: boolean) {
    let count = 0;
    const leave = (number: number) => {
      this.endedBy = number;
      process[Symbol.dispose]();
    };
    for (const [signal, number] of Object.entries(PASSED_ON) as [Deno.Signal, number][]) {
      this.#listen(signal, () => {
        if (++count >= PATIENCE) leave(number);
        else process.kill(signal);
      });
    }
    // Nobody is there any more; the agent hangs the command up.
    this.#listen("SIGHUP", () => leave(1));
    if (terminal) this.#listen("SIGWINCH", () => process.resize(terminalSize()));
  }

  #listen(signal: Deno.Signal, listener: () => void): void {
    Deno.addSignalListener(signal, listener);
    this.#listeners.set(signal, listener);
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
  }
}
