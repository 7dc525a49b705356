import { Vm } from "../control/mod.ts";
import { Terminal } from "../machine/mod.ts";

/** For how long output may pause after the end of input that is no terminal, in milliseconds. */
const QUIET_MS = 1000;

/** Connects our terminal, or our standard streams, to a VM's console until one side ends or the user detaches. */
export async function attachConsole(name: string): Promise<void> {
  await using vm = await Vm.connect(name);
  await using attached = await vm.console();
  const done = Promise.withResolvers<void>();
  let quiet: ReturnType<typeof setTimeout> | undefined;
  let inputEnded = false;
  const watchQuiet = () => {
    clearTimeout(quiet);
    if (inputEnded) quiet = setTimeout(() => done.resolve(), QUIET_MS);
  };
  const onTerminal = Deno.stdin.isTerminal();
  using _terminal = new Terminal({
    input: (bytes) => attached.write(bytes).catch(() => done.resolve()),
    quit: () => void vm.stop({ force: true }).catch(done.reject),
    pressPowerButton: () => void vm.powerButton().catch(done.reject),
    detach: () => done.resolve(),
    ended: () => {
      inputEnded = true;
      watchQuiet();
    },
  });
  void show(attached.readable, watchQuiet).then(() => done.resolve(), done.reject);
  await done.promise;
  clearTimeout(quiet);
  if (onTerminal) console.error(`\r\nspectrum: detached from "${name}"`);
}

async function show(output: ReadableStream<Uint8Array>, seen: () => void): Promise<void> {
  try {
    for await (const bytes of output) {
      for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
      seen();
    }
  } catch (error) {
    // Detached: the connection was closed under us.
    if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) {
      throw error;
    }
  }
}
