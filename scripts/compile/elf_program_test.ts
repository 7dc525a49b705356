import assert from "node:assert/strict";
import { CompileError } from "./compile_error.ts";
import { FileHeader, FileType, Segment, SegmentType } from "./elf_layout.ts";
import { ElfProgram } from "./elf_program.ts";

const source = `
#include <stdio.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) { return puts(environ[0] ? argv[0] : "none") < 0; }
`;

/** A small program, compiled with these flags. */
async function compiled(...flags: string[]): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/a.c`, source);
    const { success, stderr } = await new Deno.Command("gcc", {
      args: [...flags, "-o", "a", "a.c"],
      cwd: folder,
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return await Deno.readFile(`${folder}/a`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const position = ["-fPIE", "-pie"];

Deno.test("the slot of an import is where the dynamic linker's table says", async () => {
  // Without copy relocations, as the runtime's compiler does it.
  const bytes = await compiled(...position, "-mno-direct-extern-access");
  const file = await Deno.makeTempFile();
  await Deno.writeFile(file, bytes);
  const { stdout } = await new Deno.Command("readelf", { args: ["-rW", file] }).output();
  await Deno.remove(file);
  const line = new TextDecoder().decode(stdout).split("\n").find((line) => / environ@/.test(line));
  const expected = parseInt(line ?? "", 16);
  assert.equal(new ElfProgram(bytes, "a").importSlot("environ"), expected);
  assert.throws(() => new ElfProgram(bytes, "a").importSlot("nothing"), CompileError);
});

Deno.test("an extended program has its segments in order and still runs", async () => {
  const bytes = await compiled(...position);
  const program = new ElfProgram(bytes.slice(), "a");
  const extended = program.extended(new Uint8Array(5000).fill(7), program.entry);
  const view = new DataView(extended.buffer);
  const { segmentsOffset, segmentCount } = FileHeader.at(view);
  const segments = Array.from(
    { length: segmentCount },
    (_, i) => Segment.get(view, segmentsOffset + i * Segment.size),
  );
  const loads = segments.filter(({ type }) => type === SegmentType.Load);
  const last = loads.at(-1);
  assert.deepEqual(
    loads.map(({ address }) => address),
    loads.map(({ address }) => address).sort((a, b) => a - b),
  );
  assert.equal(last?.address, program.nextAddress - ((5000 + 4095) & ~4095) - (1 << 20));
  assert.equal(last?.fileSize, 5000);
  assert.deepEqual(
    extended.subarray(last?.offset, (last?.offset ?? 0) + 3),
    new Uint8Array([7, 7, 7]),
  );

  const file = await Deno.makeTempFile();
  await Deno.writeFile(file, extended, { mode: 0o755 });
  await Deno.chmod(file, 0o755);
  const { success, stdout } = await new Deno.Command(file, { env: { A: "1" } }).output();
  await Deno.remove(file);
  assert.ok(success);
  assert.equal(new TextDecoder().decode(stdout), `${file}\n`);
});

Deno.test("what cannot be extended is refused by name", async () => {
  const refused = (bytes: Uint8Array<ArrayBuffer>, why: RegExp) =>
    assert.throws(() => new ElfProgram(bytes, "that"), (error) => {
      assert.ok(error instanceof CompileError);
      assert.match(error.message, /^Cannot extend that: /);
      assert.match(error.message, why);
      return true;
    });
  refused(new Uint8Array(0), /too short/);
  refused(new TextEncoder().encode("#!/bin/sh\n".repeat(20)), /no ELF/);
  refused(await compiled("-static-pie"), /dynamic linker/);
  refused(await compiled("-no-pie"), /position independent/);

  const good = await compiled(...position);
  const wrong = good.slice();
  FileHeader.at(new DataView(wrong.buffer)).segmentsOffset = wrong.length - 8;
  refused(wrong, /outside/);
  refused(good.slice(0, 32), /too short/);
  const other = good.slice();
  FileHeader.at(new DataView(other.buffer)).type = FileType.Dynamic + 1;
  refused(other, /position independent/);
});

Deno.test("a program without a note has no room for another segment", async () => {
  const bytes = await compiled(...position);
  const view = new DataView(bytes.buffer);
  const { segmentsOffset, segmentCount } = FileHeader.at(view);
  for (let i = 0; i < segmentCount; i++) {
    const segment = Segment.at(view, segmentsOffset + i * Segment.size);
    if (segment.type === SegmentType.Note) segment.type = 0;
  }
  const program = new ElfProgram(bytes, "a");
  assert.throws(() => program.extended(new Uint8Array(1), 0), /no segment header is free/);
});
