import { join } from "node:path";
import { kernelBuildDir } from "./kernel_source.ts";

/**
 * A stand-in for the kernel's build: takes over the configuration as asked, except CONFIG_LOST, leaves one that is the same
 * alone, and compiles three files, the second one slowly while there is a file `slow` in its source. Its vmlinux is the
 * program `true`, as `strip` wants an ELF file.
 */
const MAKEFILE = `
allnoconfig:
	grep -v CONFIG_LOST $(KCONFIG_ALLCONFIG) > $(O)/new.config
	cmp -s $(O)/new.config $(O)/.config || cp $(O)/new.config $(O)/.config

bzImage: $(O)/a.o $(O)/b.o $(O)/c.o
	@cp /bin/true $(O)/vmlinux
	@mkdir -p $(O)/arch/x86/boot
	@cat $^ drivers/spectrum/Makefile > $(O)/arch/x86/boot/bzImage
	@echo "0 T _text" > $(O)/System.map

$(O)/%.o:
	@echo "  CC      $*.o"
	@if [ $* = b ] && [ -e slow ]; then sleep 60; fi
	@echo $* > $@
	@touch $(O)/.$*.o.cmd

$(O)/b.o: $(O)/a.o
$(O)/c.o: $(O)/b.o
`;

/** Puts the stand-in into a cache folder, as if Debian's source had been fetched. */
export async function fakeKernelSource(cacheDir: string, version: string): Promise<void> {
  const tree = join(kernelBuildDir(cacheDir), `linux-${version}`, "source");
  await Deno.mkdir(join(tree, "drivers", "spectrum"), { recursive: true });
  await Deno.writeTextFile(join(tree, "Makefile"), MAKEFILE);
}
