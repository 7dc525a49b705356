import { join } from "node:path";
import { buildImage, ImageStore, type Progress } from "../../src/guest/mod.ts";
import { payload } from "../../src/os/mod.ts";

/**
 * A data folder with the image `web`, a Debian with nginx, below a folder of the cache.
 *
 * @returns what XDG_DATA_HOME is to be
 */
export async function systemdImage(cacheDir: string, progress: Progress): Promise<string> {
  const home = join(cacheDir, "lab", "data");
  const store = new ImageStore(join(home, "spectrum"));
  const { agent } = payload();
  await buildImage({ name: "web", store, cacheDir, progress, agent, packages: ["nginx-light"] });
  return home;
}
