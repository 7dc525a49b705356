import { payload } from "../os/mod.ts";
import type { JailFile } from "./policy.ts";

/** Where the runtime's executable names its loader: the ABI of Linux on this processor says so. */
const LOADER = "/lib64/ld-linux-x86-64.so.2";

/** Libraries of the C library, and the compiler's, by the names that executables have for them. */
const LIBRARIES = /\/lib(c|m|dl|rt|pthread|gcc_s)\.so\.\d+$/;

/** What a file of a policy is, for people. */
export const fileTitles: Readonly<Record<JailFile, string>> = {
  runtime: "the runtime's executable",
  loader: LOADER,
  libraries: "the C library's libraries",
  shim: "libspectrum.so",
  bundle: "the device's script",
  proc: "a /proc of its own",
};

let libraries: readonly string[] | undefined;

/**
 * The paths that a file of a policy stands for on this host. What is part of one executable is in the memory of a process
 * and opened by its link in `/proc`.
 */
export function pathsOf(file: JailFile): readonly string[] {
  const { shim, device } = payload();
  switch (file) {
    case "runtime":
      return device.slice(0, 1).filter(isPath);
    case "bundle":
      return device.slice(-1).filter(isPath);
    case "shim":
      return [shim.startsWith("/proc/") ? "/proc" : shim];
    case "loader":
      return [LOADER];
    case "libraries":
      return libraries ??= mappedLibraries();
    case "proc":
      return ["/proc"];
  }
}

/** A program that is open has just a name. */
function isPath(word: string): boolean {
  return word.startsWith("/");
}

/** Those of this process, which runs on the same runtime. One that was replaced since has its old name still. */
function mappedLibraries(): readonly string[] {
  const maps = Deno.readTextFileSync("/proc/self/maps");
  const paths = [...maps.matchAll(/ (\/.*?)(?: \(deleted\))?$/gm)].map(([, path]) => path);
  return [...new Set(paths.filter((path) => LIBRARIES.test(path)))];
}
