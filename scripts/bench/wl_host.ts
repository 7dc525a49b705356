/**
 * The host's side of `deno task bench wl`, on the host of the guests. Starts VMs and is what `wl_guest.c` talks to.
 *
 * Its argument is a JSON object of {@link WlHostOptions}; prints one of {@link WlHostResult}.
 */

/** A stream that a guest measures. */
export type Way = "context" | "console" | "port";

/** What the guest does on each. */
export interface WlHostOptions {
  readonly runs: number;
  readonly rounds: number;
  readonly bytes: Readonly<Record<Way, number>>;
  /** VMs, each with the streams that its guest measures, in this order. */
  readonly vms: readonly { readonly command: readonly string[]; readonly ways: readonly Way[] }[];
  /** Sockets for the streams that do not go by way of a VM's standard streams. */
  readonly sockets: Readonly<Partial<Record<Way, string>>>;
}

/** Of each run: microseconds of a round trip, MB/s to the host, MB/s to the guest. */
export type WlHostResult = Readonly<Record<Way, readonly (readonly [number, number, number])[]>>;

const MESSAGE = 64;
const PIECE = 32768;
const BEGIN = "@@begin\n";
/** Milliseconds in which a VM has done all, and after that in which it has powered off. */
const LIMIT = 120_000;
const GRACE = 10_000;

interface Stream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** Reads exactly so many bytes, or up to a text. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest = new Uint8Array();

  constructor(readable: ReadableStream<Uint8Array>) {
    this.#reader = readable.getReader();
  }

  async take(bytes: number): Promise<void> {
    while (bytes > 0) {
      if (this.#rest.length === 0) await this.#more();
      const count = Math.min(bytes, this.#rest.length);
      this.#rest = this.#rest.subarray(count);
      bytes -= count;
    }
  }

  async until(text: string): Promise<string> {
    let seen = "";
    while (!seen.endsWith(text)) {
      if (this.#rest.length === 0) await this.#more();
      seen += String.fromCharCode(this.#rest[0]);
      this.#rest = this.#rest.subarray(1);
    }
    return seen;
  }

  async #more(): Promise<void> {
    const { value } = await this.#reader.read();
    if (value === undefined) throw new Error("the stream has ended early");
    this.#rest = new Uint8Array(value);
  }

  release(): void {
    this.#reader.releaseLock();
  }
}

/** Does what the guest's program expects of its host, and gives its result. */
async function serve(
  { readable, writable }: Stream,
  { runs, rounds }: WlHostOptions,
  bytes: number,
): Promise<[number, number, number][]> {
  const reader = new Reader(readable);
  const writer = writable.getWriter();
  const message = new Uint8Array(MESSAGE).fill(0x79);
  const piece = new Uint8Array(PIECE).fill(0x79);
  await reader.until(BEGIN);
  for (let run = 0; run < runs; run++) {
    for (let i = 0; i < rounds; i++) {
      await reader.take(MESSAGE);
      await writer.write(message);
    }
    await reader.take(bytes);
    await writer.write(message.subarray(0, 1));
    await reader.take(1);
    for (let rest = bytes; rest > 0; rest -= PIECE) {
      await writer.write(piece.subarray(0, Math.min(rest, PIECE)));
    }
  }
  const result = JSON.parse(await reader.until("]]"));
  reader.release();
  writer.releaseLock();
  return result;
}

/** A run that hung has left its sockets. */
function removeLeft(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Runs a VM and serves its streams. Throws when it ends early, or hangs. */
async function measure(
  { command: [program, ...args], ways }: WlHostOptions["vms"][number],
  listeners: ReadonlyMap<string, Deno.Listener>,
  options: WlHostOptions,
): Promise<[Way, [number, number, number][]][]> {
  const vm = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  const hangs = setTimeout(() => vm.kill("SIGKILL"), LIMIT);
  const over = vm.status.then(({ code }) => {
    throw new Error(`${program} has ended with ${code}`);
  });
  over.catch(() => {});
  const results: [Way, [number, number, number][]][] = [];
  for (const way of ways) {
    const listener = listeners.get(way);
    const stream: Stream = listener === undefined
      ? { readable: vm.stdout, writable: vm.stdin }
      : await Promise.race([listener.accept(), over]);
    results.push([way, await Promise.race([serve(stream, options, options.bytes[way]), over])]);
  }
  clearTimeout(hangs);
  // The guest powers off by itself, as a rule; what it prints until then is not held.
  const ends = setTimeout(() => vm.kill("SIGKILL"), GRACE);
  await vm.stdout.pipeTo(new WritableStream());
  await vm.status;
  clearTimeout(ends);
  return results;
}

async function main(options: WlHostOptions): Promise<Record<string, unknown>> {
  const listeners = new Map(
    Object.entries(options.sockets).map(([way, path]) => {
      removeLeft(path);
      return [way, Deno.listen({ transport: "unix", path })];
    }),
  );
  const results: [Way, unknown][] = [];
  for (const vm of options.vms) results.push(...await measure(vm, listeners, options));
  return Object.fromEntries(results);
}

console.log(JSON.stringify(await main(JSON.parse(Deno.args[0]))));
Deno.exit(0);
