import { compileStub } from "./compile_stub.ts";
import { contents, type Scripts } from "./contents.ts";
import { ElfProgram } from "./elf_program.ts";
import { layOut } from "./image.ts";

/**
 * The runtime's executable with our scripts and programs in one more segment (see `stub.c`).
 *
 * @param scripts others than ours
 * @throws {CompileError}
 */
export async function selfContained(runtime: string, scripts?: Scripts): Promise<Uint8Array> {
  const program = new ElfProgram(await Deno.readFile(runtime), runtime);
  const address = program.nextAddress;
  const places = { address, entry: program.entry, environSlot: program.importSlot("environ") };
  const image = layOut(await compileStub(), places, await contents(scripts));
  return program.extended(image, address);
}
