import { join } from "node:path";
import { kernelsDir, type Progress } from "../../../src/guest/mod.ts";
import { FileSet } from "./file_set.ts";
import { buildImage } from "./image.ts";

/** What of the working tree the lab host sees, beside the compiled program. */
const TREES = ["build", "examples", "ffi", "scripts", "src", "tests"];
const FILES = ["deno.json", "deno.lock", "main.ts", "mod.ts"];

/** The working tree, at its own path. */
export async function treeImage(
  tree: string,
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  return await steady("tree", cacheDir, progress, async (files) => {
    for (const name of TREES) await files.addTree(join(tree, name));
    for (const name of FILES) await files.addFileIfPresent(join(tree, name));
  });
}

/** `dist/`, apart since it is large and changes less often. */
export async function distImage(
  tree: string,
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  return await steady("dist", cacheDir, progress, (files) => files.addTree(join(tree, "dist")));
}

/** Deno's cache of npm packages, for what runs from source. */
export async function npmImage(
  denoDir: string,
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  return await steady("npm", cacheDir, progress, (files) => files.addTree(join(denoDir, "npm")));
}

/** The guest kernels of the cache folder; what unpacks or builds one has a folder that begins with a dot. */
export async function kernelsImage(cacheDir: string, progress: Progress): Promise<string> {
  const kernels = kernelsDir(cacheDir);
  const isUnfinished = (path: string) => path.slice(kernels.length).includes("/.");
  return await steady("kernels", cacheDir, progress, async (files) => {
    await files.addTree(kernels, kernels, isUnfinished);
    // The ordinary user has a cache folder of its own.
    files.addLink("/home/user/.cache/spectrum/kernels", kernels);
  });
}

/** Files and folders that one run brings along, each at its own path. */
export async function extraImage(
  paths: readonly string[],
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  const files = new FileSet();
  for (const path of paths) {
    if ((await Deno.stat(path)).isDirectory) await files.addTree(path);
    else await files.addFile(path);
  }
  return await buildImage("extra", files, cacheDir, progress);
}

/** How often an image of files is tried that somebody works on. */
const TRIES = 5;

/** The image of folders in which files may come and go meanwhile: starts over when one has gone. */
async function steady(
  name: string,
  cacheDir: string,
  progress: Progress,
  list: (files: FileSet) => Promise<void>,
): Promise<string> {
  for (let tries = 1;; tries++) {
    const files = new FileSet();
    try {
      await list(files);
      return await buildImage(name, files, cacheDir, progress);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) || tries === TRIES) throw error;
    }
  }
}
