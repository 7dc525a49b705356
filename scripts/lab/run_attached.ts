import type { LabProcess, OnOutput } from "./agent_client.ts";
import type { LabArguments } from "./options.ts";
import { type LabCommand, LabSession } from "./session.ts";

/** Signals that end us, and with us the lab. */
const ENDINGS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs a command in a lab host with our stdin, stdout, stderr and, where those are one, our terminal.
 *
 * @param attend what goes on in the lab meanwhile, until the signal
 * @returns the command's exit status
 */
export async function runAttached(
  options: LabArguments,
  attend?: (session: LabSession, signal: AbortSignal) => Promise<void>,
): Promise<number> {
  await using session = await LabSession.start(options);
  for (const [signal, status] of Object.entries(ENDINGS) as [keyof typeof ENDINGS, number][]) {
    Deno.addSignalListener(signal, () => {
      session.kill();
      Deno.exit(status);
    });
  }
  const { command, user, timeout } = options;
  const over = new AbortController();
  const attended = attend?.(session, over.signal);
  const status = await attached(session, { command, user, timeout });
  over.abort();
  await attended;
  if (options.out !== undefined) await session.copyOut("/out", options.out);
  if (options.keep && hasTerminal()) {
    console.error(`lab: status ${status}. This shell is in the same lab host; leave it to end.`);
    await attached(session, { command: ["bash"] });
  }
  return status;
}

async function attached(session: LabSession, command: LabCommand): Promise<number> {
  const terminal = hasTerminal() ? terminalSize() : undefined;
  const process = await session.spawn({ ...command, terminal, onOutput: toOurs });
  const onResize = () => void process.resize(terminalSize());
  if (terminal !== undefined) {
    Deno.stdin.setRaw(true);
    Deno.addSignalListener("SIGWINCH", onResize);
  }
  const input = forwardInput(process);
  try {
    return await process.status;
  } finally {
    input.abort();
    if (terminal !== undefined) {
      Deno.stdin.setRaw(false);
      Deno.removeSignalListener("SIGWINCH", onResize);
    }
  }
}

/** Our stdin goes to the command until it ends or is aborted. */
function forwardInput(process: LabProcess): AbortController {
  const abort = new AbortController();
  const sink = new WritableStream<Uint8Array>({
    write: (chunk) => process.write(chunk),
    close: () => process.closeInput(),
  });
  Deno.stdin.readable.pipeTo(sink, { signal: abort.signal, preventCancel: true }).catch(() => {});
  return abort;
}

const toOurs: OnOutput = (bytes, stream) => {
  const target = stream === "stdout" ? Deno.stdout : Deno.stderr;
  for (let at = 0; at < bytes.length;) at += target.writeSync(bytes.subarray(at));
};

function hasTerminal(): boolean {
  return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
}

function terminalSize(): { rows: number; columns: number } {
  const { rows, columns } = Deno.consoleSize();
  // A terminal that does not know its size says 0.
  return rows > 0 && columns > 0 ? { rows, columns } : { rows: 24, columns: 80 };
}
