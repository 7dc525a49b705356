import { Log } from "../machine/mod.ts";
import { ControlServer } from "./control_server.ts";
import { FakeVm } from "./fake_vm.ts";
import type { HttpPatience } from "./http/mod.ts";

/** A fake VM that is served in a directory of its own, for tests. */
export class ServedVm implements AsyncDisposable {
  private constructor(
    readonly vm: FakeVm,
    readonly server: ControlServer,
    readonly base: string,
    /** Lines of the server's log. */
    readonly log: string[],
  ) {}

  static async start(
    options: { name?: string; patience?: HttpPatience } = {},
  ): Promise<ServedVm> {
    const { name = "fake", patience } = options;
    const base = await Deno.makeTempDir();
    const dir = `${base}/${name}`;
    await Deno.mkdir(dir);
    const lines: string[] = [];
    const log = new Log({ format: "text", level: "debug", write: (line) => lines.push(line) });
    const vm = await FakeVm.create(name, dir);
    return new ServedVm(vm, new ControlServer(vm, { dir, log, patience }), base, lines);
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
    await Deno.remove(this.base, { recursive: true });
  }
}
