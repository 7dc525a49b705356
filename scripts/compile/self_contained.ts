import { compileStub } from "./compile_stub.ts";
import { contents } from "./contents.ts";
import { ElfProgram } from "./elf_program.ts";
import { layOut } from "./image.ts";

/**
 * The runtime's executable with our scripts and programs in one more segment (see `stub.c`).
 *
 * @throws {CompileError}
 */
export async function selfContained(runtime: string): Promise<Uint8Array> {
  const program = new ElfProgram(await Deno.readFile(runtime), runtime);
  const address = program.nextAddress;
  const places = { address, entry: program.entry, environSlot: program.importSlot("environ") };
  const image = layOut(await compileStub(), places, await contents());
  return program.extended(image, address);
}
