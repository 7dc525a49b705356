import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { debianSources } from "./apt_sources.ts";
import { FetchError } from "../fetch_error.ts";
import { run } from "../run.ts";

/** A package as the archive's lists describe it. */
export interface PackageInfo {
  readonly name: string;
  readonly version: string;
  /** Size of the download in bytes. */
  readonly size: number;
}

/** A package that is to be installed. */
export interface ChosenPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}

/** As it is done in a root file system that nobody asks. */
const INSTALL = ["--assume-yes", "--no-install-recommends"];

/**
 * apt with lists and downloads in a folder of ours: needs no root, changes nothing of the host's,
 * installs nothing. Signatures are checked as ever.
 */
export class PrivateApt {
  readonly #directory: string;
  readonly #options: readonly string[];

  private constructor(directory: string) {
    this.#directory = directory;
    this.#options = [
      `Dir::State=${join(directory, "state")}`,
      `Dir::State::status=${join(directory, "status")}`,
      `Dir::Cache=${join(directory, "cache")}`,
      `Dir::Etc::sourcelist=${join(directory, "sources.list")}`,
      "Dir::Etc::sourceparts=-",
      "APT::Architecture=amd64",
      "APT::Architectures=amd64",
      // Root's apt would download as the user _apt, who may not write to our folder.
      `APT::Sandbox::User=${Deno.uid() === 0 ? "root" : ""}`,
      "Acquire::Languages=none",
      "Acquire::Retries=3",
    ].flatMap((option) => ["-o", option]);
  }

  /**
   * @param directory is made when it does not exist; what is in it is used again
   * @param sources lines of `sources.list`, by default those of the guests' release
   */
  static async open(directory: string, sources?: readonly string[]): Promise<PrivateApt> {
    for (const part of ["state/lists/partial", "cache/archives/partial"]) {
      await Deno.mkdir(join(directory, part), { recursive: true });
    }
    // An empty status: what the host has installed is of no concern.
    await Deno.writeTextFile(join(directory, "status"), "");
    const lines = sources ?? await debianSources();
    await Deno.writeTextFile(join(directory, "sources.list"), `${lines.join("\n")}\n`);
    return new PrivateApt(directory);
  }

  /**
   * Brings the lists up to date.
   *
   * @throws {FetchError} when a list cannot be had
   */
  async update(progress: Progress): Promise<void> {
    progress("reading Debian's package lists");
    await this.#apt("apt-get", [
      "update",
      "-qq",
      "-o",
      "APT::Update::Error-Mode=any",
    ], "Cannot read Debian's package lists");
  }

  /** The package that a meta package stands for: its first dependency. */
  async dependency(name: string): Promise<string> {
    const text = await this.#apt(
      "apt-cache",
      ["depends", "--important", name],
      `Cannot find the package ${name}`,
    );
    const match = /^\s*Depends: (\S+)$/m.exec(text);
    if (match === null) throw new FetchError(`The package ${name} depends on nothing`, text);
    return match[1];
  }

  /** What the lists say of a package's newest version. */
  async info(name: string): Promise<PackageInfo> {
    const text = await this.#apt(
      "apt-cache",
      ["show", "--no-all-versions", name],
      `Cannot find the package ${name}`,
    );
    const field = (key: string) => new RegExp(`^${key}: (.*)$`, "m").exec(text)?.[1] ?? "";
    return { name, version: field("Version"), size: Number(field("Size")) };
  }

  /**
   * Downloads a package; a broken-off download goes on where it stopped.
   *
   * @returns the path of the `.deb`
   * @throws {FetchError} when the download fails
   */
  async download(info: PackageInfo, progress: Progress): Promise<string> {
    const folder = join(this.#directory, "download");
    await Deno.mkdir(folder, { recursive: true });
    const step = `downloading ${info.name}, ${(info.size / 1e6).toFixed(1)} MB`;
    progress(step, 0);
    await this.#apt(
      "apt-get",
      ["download", "-q", "-o", "APT::Status-Fd=1", `${info.name}=${info.version}`],
      `Cannot download the package ${info.name}`,
      {
        cwd: folder,
        onLine: (line) => reportDownload(line, step, progress),
      },
    );
    for await (const entry of Deno.readDir(folder)) {
      if (entry.name.startsWith(`${info.name}_`) && entry.name.endsWith(".deb")) {
        return join(folder, entry.name);
      }
    }
    throw new FetchError(`apt-get downloaded ${info.name} and left no file in ${folder}`);
  }

  /**
   * What it takes to install packages where there is nothing yet, without what they merely recommend.
   *
   * @param words names, `NAME-` for one that is not wanted, or a pattern of apt
   * @throws {FetchError} when they cannot be installed together, or there is no such package
   */
  async choose(words: readonly string[]): Promise<ChosenPackage[]> {
    const text = await this.#apt(
      "apt-get",
      ["install", "--simulate", ...INSTALL, ...words],
      "Cannot install these packages together",
    );
    // Inst NAME (VERSION ORIGINS [ARCHITECTURE])
    return [...text.matchAll(/^Inst (\S+) \((\S+) .*\[(\w+)\]\)/gm)]
      .map(([, name, version, architecture]) => ({ name, version, architecture }));
  }

  /**
   * Downloads what {@linkcode choose} chose; what is there already is not, and a broken-off download goes on where it
   * stopped.
   *
   * @returns paths of the `.deb`s, in the order of the packages
   */
  async downloadAll(
    words: readonly string[],
    packages: readonly ChosenPackage[],
    progress: Progress,
  ): Promise<string[]> {
    const step = `downloading ${packages.length} packages`;
    const archives = join(this.#directory, "cache", "archives");
    const paths = packages.map(({ name, version, architecture }) =>
      join(archives, `${name}_${version.replaceAll(":", "%3a")}_${architecture}.deb`)
    );
    if (await Promise.all(paths.map(exists)).then((there) => there.every(Boolean))) return paths;
    progress(step, 0);
    await this.#apt(
      "apt-get",
      ["install", "--download-only", "-q", "-o", "APT::Status-Fd=1", ...INSTALL, ...words],
      "Cannot download packages",
      { onLine: (line) => reportDownload(line, step, progress) },
    );
    return paths;
  }

  /** Removes downloads that no list names any more. */
  async tidy(): Promise<void> {
    await this.#apt("apt-get", ["autoclean"], "Cannot remove old packages");
  }

  /** The folder with the lists as they are now. */
  get lists(): string {
    return join(this.#directory, "state", "lists");
  }

  async #apt(
    program: string,
    args: readonly string[],
    attempted: string,
    options: { cwd?: string; onLine?: (line: string) => void } = {},
  ): Promise<string> {
    const result = await run(program, [...this.#options, ...args], options);
    if (!result.success) {
      throw new FetchError(`${attempted}: ${program} failed.`, result.stderr.trim());
    }
    return result.stdout;
  }
}

function reportDownload(line: string, step: string, progress: Progress): void {
  // dlstatus:1:45.2:Retrieving file 1 of 1
  const percent = /^dlstatus:\d+:([\d.]+):/.exec(line)?.[1];
  if (percent !== undefined) progress(step, Number(percent) / 100);
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
