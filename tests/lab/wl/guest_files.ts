import {
  buildDebianModule,
  cacheDir,
  type CpioEntry,
  fetchDebianKernel,
  guestDrivers,
  showProgress,
} from "../../../src/guest/mod.ts";
import { guestProgram } from "../guest_program.ts";

/** What the guest of tests has beyond others: `wl_guest` and, where the kernel is Debian's, our driver as a module. */
export async function wlFiles(kernel: "debian" | "small"): Promise<CpioEntry[]> {
  const program = await guestProgram("wl_guest", new URL("wl_guest.c", import.meta.url));
  return kernel === "debian" ? [program, ...await driverModules()] : [program];
}

async function driverModules(): Promise<CpioEntry[]> {
  const cache = cacheDir(), progress = showProgress();
  const kernel = await fetchDebianKernel(cache, progress);
  return await Promise.all(guestDrivers.map(async (driver): Promise<CpioEntry> => {
    const path = await buildDebianModule({ cacheDir: cache, kernel, driver, progress });
    return { kind: "file", path: `modules/${driver.name}.ko`, data: await Deno.readFile(path) };
  }));
}
