import { Log, RuntimeDir } from "../machine/mod.ts";
import { ControlServer } from "./control_server.ts";
import { FakeVm } from "./fake_vm.ts";
import type { HttpPatience } from "./http/mod.ts";

/** A fake VM that is served in a directory of its own, for tests. */
export class ServedVm implements AsyncDisposable {
  private constructor(
    readonly vm: FakeVm,
    readonly server: ControlServer,
    /** What `XDG_RUNTIME_DIR` is for who is to find it. */
    readonly base: string,
    readonly runtime: RuntimeDir,
    private readonly ownBase: boolean,
    /** Lines of the server's log. */
    readonly log: string[],
  ) {}

  static async start(
    options: { name?: string; patience?: HttpPatience; base?: string } = {},
  ): Promise<ServedVm> {
    const { name = "fake", patience } = options;
    const base = options.base ?? await Deno.makeTempDir();
    const runtime = RuntimeDir.claim(name, `${base}/spectrum`);
    const dir = runtime.path;
    const lines: string[] = [];
    const log = new Log({ format: "text", level: "debug", write: (line) => lines.push(line) });
    const vm = await FakeVm.create(name, dir);
    const server = new ControlServer(vm, { dir, log, patience });
    return new ServedVm(vm, server, base, runtime, options.base === undefined, lines);
  }

  get socket(): string {
    return `${this.vm.runtimeDir}/control.sock`;
  }

  get console(): string {
    return `${this.vm.runtimeDir}/console.sock`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.vm.quit();
    await this.server[Symbol.asyncDispose]();
    this.runtime[Symbol.dispose]();
    if (this.ownBase) await Deno.remove(this.base, { recursive: true });
  }
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Sends bytes as they are and gives all that comes back until the server closes. */
export async function raw({ socket }: ServedVm, text: string, half = true): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path: socket });
  const sent = (async () => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    if (half) await connection.closeWrite();
  })().catch(() => {});
  const answer = await readAll(connection);
  await sent;
  return answer;
}

async function readAll(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4096);
  let text = "";
  for (;;) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) return text;
    text += decoder.decode(buffer.subarray(0, count));
  }
}
