import { type Command, Option } from "commander";
import {
  buildKernel,
  cacheDir,
  fetchDebianKernel,
  type ListedKernel,
  listKernels,
  type Profile,
  profiles,
  showProgress,
} from "../guest/mod.ts";
import { Interrupted } from "./exit_status.ts";
import { printJson, table } from "./output.ts";

/** `spectrum kernel …`: kernels for guests, kept in the cache folder. */
export function addKernelCommand(program: Command): void {
  const kernel = program.command("kernel").description("kernels for guests")
    .addHelpText("after", "\nExample:\n  spectrum kernel fetch");
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
  kernel.command("build")
    .description("build a small kernel for our machines from Debian's source")
    .addOption(
      new Option("--profile <profile>", "what for").choices(profiles).default("app"),
    )
    .option("--newer", "look whether Debian has a newer source")
    .addHelpText(
      "after",
      `
Takes some minutes; Ctrl-C interrupts it, and the next call goes on where it stopped.

Example:
  spectrum kernel build && spectrum run --kernel small --root disk0 --disk root.img`,
    )
    .action(async ({ profile, newer }: { profile: Profile; newer?: boolean }) => {
      const abort = new AbortController();
      const interrupt = () =>
        abort.abort(new Interrupted("Interrupted; the next call goes on from here."));
      Deno.addSignalListener("SIGINT", interrupt);
      const { version, vmlinux } = await buildKernel({
        ...{ profile, newer, cacheDir: cacheDir() },
        ...{ progress: showProgress(), signal: abort.signal },
      });
      console.log(`${version} in ${vmlinux}`);
    });
  kernel.command("list")
    .description("the kernels in the cache folder")
    .option("--json", "as data")
    .addHelpText("after", "\nExample:\n  spectrum kernel list")
    .action(async ({ json }: { json?: boolean }) => {
      const kernels = await listKernels(cacheDir());
      if (json) printJson(kernels);
      else console.log(kernelTable(kernels));
    });
}

function kernelTable(kernels: readonly ListedKernel[]): string {
  if (kernels.length === 0) {
    return "There is no kernel yet. Fetch Debian's: spectrum kernel fetch. Build a small one: spectrum kernel build.";
  }
  return table(
    ["NAME", "VERSION", "ORIGIN", "SIZE", "PATH"],
    kernels.map(({ name, version, origin, packageVersion, size, path }) => [
      name ?? "-",
      version,
      `${origin} (${packageVersion})`,
      `${(size / 2 ** 20).toFixed(1)} MiB`,
      path,
    ]),
  );
}
