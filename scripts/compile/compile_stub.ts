import { dirname, join } from "node:path";
import { CompileError } from "./compile_error.ts";

const folder = dirname(new URL(import.meta.url).pathname);

const flags = [
  ...["-std=gnu17", "-Os", "-Wall", "-Wextra", "-Werror"],
  // No library, wherever it is loaded, and no vector registers, which may hold arguments of the entry point.
  ...["-ffreestanding", "-fPIE", "-mgeneral-regs-only"],
  // Nothing that needs a library or a relocation.
  ...["-fno-stack-protector", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns"],
  ...["-fno-asynchronous-unwind-tables", "-fcf-protection=none"],
];

/** The machine code of `stub.c`, placed by `stub.ld`. */
export async function compileStub(): Promise<Uint8Array> {
  const scratch = await Deno.makeTempDir({ prefix: "spectrum-stub-" });
  try {
    const object = join(scratch, "stub.o");
    const binary = join(scratch, "stub");
    await execute("gcc", [...flags, "-c", "-o", object, join(folder, "stub.c")]);
    const script = join(folder, "stub.ld");
    const link = ["-T", script, "-pie", "--no-dynamic-linker", "--oformat", "binary"];
    await execute("ld", [...link, "-o", binary, object]);
    return await Deno.readFile(binary);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

async function execute(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  if (!success) throw new CompileError(`${program}: ${new TextDecoder().decode(stderr).trimEnd()}`);
}
