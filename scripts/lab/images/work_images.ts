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
  const files = new FileSet();
  for (const name of TREES) await files.addTree(join(tree, name));
  for (const name of FILES) await files.addFileIfPresent(join(tree, name));
  return await buildImage("tree", files, cacheDir, progress);
}

/** `dist/`, apart since it is large and changes less often. */
export async function distImage(
  tree: string,
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  const files = new FileSet();
  await files.addTree(join(tree, "dist"));
  return await buildImage("dist", files, cacheDir, progress);
}

/** Deno's cache of npm packages, for what runs from source. */
export async function npmImage(
  denoDir: string,
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  const files = new FileSet();
  await files.addTree(join(denoDir, "npm"));
  return await buildImage("npm", files, cacheDir, progress);
}

/** The guest kernels of the cache folder; what unpacks or builds one has a folder that begins with a dot. */
export async function kernelsImage(cacheDir: string, progress: Progress): Promise<string> {
  const files = new FileSet();
  const kernels = kernelsDir(cacheDir);
  await files.addTree(kernels, kernels, (path) => path.slice(kernels.length).includes("/."));
  return await buildImage("kernels", files, cacheDir, progress);
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
