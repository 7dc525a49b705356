import {
  buildDebianModule,
  cacheDir,
  type CpioEntry,
  fetchDebianKernel,
  guestDrivers,
  showProgress,
} from "../../../src/guest/mod.ts";
import { execute } from "../../../scripts/lab/mod.ts";

/** What the guest of tests has beyond others: `wl_guest` and, where the kernel is Debian's, our driver as a module. */
export async function wlFiles(kernel: "debian" | "small"): Promise<CpioEntry[]> {
  const program: CpioEntry = {
    kind: "file",
    path: "bin/wl_guest",
    data: await compile("wl_guest.c"),
    mode: 0o755,
  };
  return kernel === "debian" ? [program, ...await driverModules()] : [program];
}

async function compile(source: string): Promise<Uint8Array> {
  const program = await Deno.makeTempFile();
  try {
    const path = new URL(source, import.meta.url).pathname;
    await execute("gcc", [
      "-static",
      "-pthread",
      "-O2",
      "-s",
      "-Wall",
      "-Wextra",
      "-o",
      program,
      path,
    ]);
    return await Deno.readFile(program);
  } finally {
    await Deno.remove(program);
  }
}

async function driverModules(): Promise<CpioEntry[]> {
  const cache = cacheDir(), progress = showProgress();
  const kernel = await fetchDebianKernel(cache, progress);
  return await Promise.all(guestDrivers.map(async (driver): Promise<CpioEntry> => {
    const path = await buildDebianModule({ cacheDir: cache, kernel, driver, progress });
    return { kind: "file", path: `modules/${driver.name}.ko`, data: await Deno.readFile(path) };
  }));
}
