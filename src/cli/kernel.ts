import type { Command } from "commander";
import { cacheDir, fetchDebianKernel, showProgress } from "../guest/mod.ts";
import type { CliContext } from "./main.ts";

/** `spectrum kernel …`: kernels for guests, kept in the cache folder. */
export function addKernelCommand(program: Command, _context: CliContext): void {
  const kernel = program.command("kernel").description("kernels for guests");
  kernel.command("fetch")
    .description("download Debian's cloud kernel into the cache folder; installs nothing")
    .option("--newer", "look for a newer one although there is one already")
    .addHelpText(
      "after",
      "\nExample:\n  spectrum kernel fetch && spectrum run --kernel debian --initrd initrd.img",
    )
    .action(async ({ newer }: { newer?: boolean }) => {
      const { version, packageVersion, directory } = await fetchDebianKernel(
        cacheDir(),
        showProgress(),
        { newer },
      );
      console.log(`${version} (${packageVersion}) in ${directory}`);
    });
}
