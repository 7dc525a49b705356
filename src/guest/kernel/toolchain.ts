import { tryRun } from "../run.ts";
import { KernelBuildError } from "./kernel_build_error.ts";

/** A Debian package that a build needs, and how its presence shows. */
interface Requirement {
  readonly package: string;
  /** A program of it. */
  readonly program?: string;
  /** A header of it, which the compiler finds. */
  readonly header?: string;
}

/** What a build of the kernel runs and includes, beyond what every Debian has. */
const REQUIREMENTS: readonly Requirement[] = [
  { package: "gcc", program: "gcc" },
  { package: "binutils", program: "ld" },
  { package: "libc6-dev", header: "stdio.h" },
  { package: "make", program: "make" },
  { package: "flex", program: "flex" },
  { package: "bison", program: "bison" },
  { package: "bc", program: "bc" },
  { package: "libelf-dev", header: "gelf.h" },
  { package: "lz4", program: "lz4" },
  { package: "xz-utils", program: "xz" },
];

/** Names of the Debian packages that are missing for a build of the kernel. */
export async function missingPackages(): Promise<string[]> {
  const missing = await Promise.all(
    REQUIREMENTS.map(async (requirement) => await isThere(requirement) ? [] : requirement.package),
  );
  return missing.flat();
}

/** @throws {KernelBuildError} with the command that installs what is missing */
export async function requireToolchain(): Promise<void> {
  const missing = await missingPackages();
  if (missing.length === 0) return;
  throw new KernelBuildError(
    "Cannot build a kernel: programs are missing on this machine. Install them:\n" +
      `  ${Deno.uid() === 0 ? "" : "sudo "}apt-get install ${missing.join(" ")}`,
  );
}

async function isThere({ program, header }: Requirement): Promise<boolean> {
  if (program !== undefined) return await tryRun(program, ["--version"]) !== undefined;
  const result = await tryRun("gcc", [
    "-fsyntax-only",
    "-include",
    header ?? "",
    "-x",
    "c",
    "/dev/null",
  ]);
  return result?.success === true;
}
