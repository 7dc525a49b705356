/** For tests: guests of a few instructions, which also a KVM that only emulates can run. */

import { join } from "node:path";
import { parseConfig, type VmInput } from "../config/mod.ts";
import { Host } from "./host.ts";
import { Log } from "./log.ts";
import { RunningVm, type StartOptions } from "./running_vm.ts";
import { readSnapshotInfo } from "./snapshot_info.ts";

/** Where a tiny kernel is loaded, and starts in 32-bit protected mode. */
const LOAD = 0x10_0000;

/** A PVH kernel (an ELF image with a XEN_ELFNOTE_PHYS32_ENTRY) of the given machine code. */
export function tinyKernel(code: readonly number[]): Uint8Array<ArrayBuffer> {
  const CODE = 0x100;
  const file = new Uint8Array(CODE + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setUint32(24, LOAD, true);
  view.setUint32(32, 64, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const segment = (at: number, type: number, offset: number, address: number, size: number) => {
    view.setUint32(at, type, true);
    view.setUint32(at + 4, 7, true);
    view.setUint32(at + 8, offset, true);
    view.setUint32(at + 16, address, true);
    view.setUint32(at + 24, address, true);
    view.setUint32(at + 32, size, true);
    view.setUint32(at + 40, size, true);
    view.setUint32(at + 48, 4, true);
  };
  segment(64, 1, CODE, LOAD, code.length); // PT_LOAD
  segment(120, 4, 0xc0, 0, 20); // PT_NOTE
  view.setUint32(0xc0, 4, true);
  view.setUint32(0xc4, 4, true);
  view.setUint32(0xc8, 18, true);
  file.set([0x58, 0x65, 0x6e, 0], 0xcc);
  view.setUint32(0xd0, LOAD, true);
  file.set(code, CODE);
  return file;
}

/**
 * Counts in memory at 2 MiB and in EBX, and answers each byte from the serial line: `q` powers off, `r` resets, `c`
 * sends the low byte of the count in two characters from `@` on, all else comes back as it is. So does `!` at its start.
 */
export const ECHO = [
  ...[0x66, 0xba, 0xfc, 0x03, 0xb0, 0x02, 0xee], // mov dx, 0x3fc; mov al, 2 (RTS); out dx, al
  ...[0x66, 0xba, 0xf8, 0x03, 0xb0, 0x21, 0xee], // mov dx, 0x3f8; mov al, '!'; out dx, al
  ...[0x31, 0xdb], // xor ebx, ebx
  // next:
  ...[0x43, 0x89, 0x1d, 0x00, 0x00, 0x20, 0x00], // inc ebx; mov [0x200000], ebx
  ...[0x66, 0xba, 0xfd, 0x03, 0xec], // mov dx, 0x3fd; in al, dx
  ...[0xa8, 0x01, 0x74, 0xf0], // test al, 1; jz next
  ...[0x66, 0xba, 0xf8, 0x03, 0xec], // mov dx, 0x3f8; in al, dx
  ...[0x3c, 0x71, 0x74, 0x0b], // cmp al, 'q'; je off
  ...[0x3c, 0x72, 0x74, 0x12], // cmp al, 'r'; je reset
  ...[0x3c, 0x63, 0x74, 0x13], // cmp al, 'c'; je count
  ...[0xee, 0xeb, 0xdc], // out dx, al; jmp next
  // off: mov dx, 0x604; mov ax, 0x3400 (S5, SLP_EN); out dx, ax; hlt
  ...[0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x34, 0x66, 0xef, 0xf4],
  // reset: mov al, 0xfe; out 0x64, al; hlt
  ...[0xb0, 0xfe, 0xe6, 0x64, 0xf4],
  // count: mov eax, ebx; shr al, 4; add al, '@'; out dx, al; mov eax, ebx; and al, 15; add al, '@'; out dx, al
  ...[0x89, 0xd8, 0xc0, 0xe8, 0x04, 0x04, 0x40, 0xee],
  ...[0x89, 0xd8, 0x24, 0x0f, 0x04, 0x40, 0xee],
  ...[0xeb, 0xbb], // jmp next
];

/** Also on a KVM that only emulates. */
const openHost = () => Host.open(false);

/** A VM that tests talk to by its serial line. */
export class TinyVm implements AsyncDisposable {
  output = "";
  #seen = () => {};

  private constructor(readonly vm: RunningVm) {
    vm.console.attach({
      write: (bytes) => {
        this.output += new TextDecoder("latin1").decode(bytes);
        this.#seen();
        return Promise.resolve();
      },
    });
  }

  static async start(
    folder: string,
    input: Partial<VmInput> = {},
    options: Partial<StartOptions> = {},
  ): Promise<TinyVm> {
    const kernel = join(folder, "tiny.elf");
    Deno.writeFileSync(kernel, tinyKernel(ECHO));
    const config = await parseConfig("", "test", {
      name: "tiny",
      kernel,
      memory: "16M",
      console: { to: "none" },
      ...input,
    });
    const log = new Log({ format: "text", level: "error" });
    const plan = { kernel, cmdline: "" };
    return new TinyVm(RunningVm.start(config, plan, { log, openHost, ...options }));
  }

  /** One that goes on where a snapshot was taken. */
  static async restore(restore: string, changes: Partial<VmInput> = {}): Promise<TinyVm> {
    const { config, plan } = await readSnapshotInfo(restore, changes);
    const log = new Log({ format: "text", level: "error" });
    return new TinyVm(RunningVm.start(config, plan, { log, openHost, restore }));
  }

  /** Resolves when the output holds so many characters, and gives them. */
  async outputOf(length: number): Promise<string> {
    while (this.output.length < length) {
      await Promise.race([
        new Promise<void>((resolve) => this.#seen = resolve),
        this.vm.outcome.then((end) => {
          throw new Error(`The VM ended (${end.kind}) after "${this.output}"`);
        }),
      ]);
    }
    return this.output;
  }

  async type(text: string): Promise<void> {
    using input = this.vm.console.takeInput();
    await input?.input(new TextEncoder().encode(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vm[Symbol.asyncDispose]();
  }
}

/** A test with a folder of its own, where runtime directories are made, too. Ignored where there is no KVM at all. */
export function tinyTest(name: string, body: (folder: string) => Promise<void>): void {
  Deno.test({
    name,
    ignore: !canOpen("/dev/kvm"),
    fn: async () => {
      const folder = Deno.makeTempDirSync();
      const before = Deno.env.get("XDG_RUNTIME_DIR");
      Deno.env.set("XDG_RUNTIME_DIR", folder);
      try {
        await body(folder);
      } finally {
        if (before === undefined) Deno.env.delete("XDG_RUNTIME_DIR");
        else Deno.env.set("XDG_RUNTIME_DIR", before);
        Deno.removeSync(folder, { recursive: true });
      }
    },
  });
}

function canOpen(path: string): boolean {
  try {
    Deno.openSync(path, { read: true, write: true }).close();
    return true;
  } catch {
    return false;
  }
}
