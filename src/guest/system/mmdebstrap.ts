import { eachLine } from "../lines.ts";
import type { Progress } from "../progress.ts";
import { tryRun } from "../run.ts";
import { unlessMissing } from "./files.ts";
import { ImageError } from "./image_error.ts";

/** How many of the last lines an error shows. */
const SHOWN_LINES = 25;
const MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr";

/** What mmdebstrap is to make. */
export interface Debootstrap {
  readonly release: string;
  /** Lines of `sources.list`. */
  readonly sources: readonly string[];
  /** Packages beside the essential ones. */
  readonly packages: readonly string[];
  readonly dpkgOptions: readonly string[];
  /** Steps in the empty root file system, and in the finished one. */
  readonly setupHooks: readonly string[];
  readonly customizeHooks: readonly string[];
  /** Seconds since 1970: nothing in it is younger. */
  readonly time: number;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Runs mmdebstrap and gives what it makes to `take`, as a tar archive. As root it works in mount namespaces, as an ordinary
 * user in a user namespace with that user's ids of `/etc/subuid`.
 *
 * @throws {ImageError} when it fails, with the end of what it said
 * @throws the signal's reason when it is aborted
 */
export async function debootstrap<T>(
  options: Debootstrap,
  take: (archive: ReadableStream<Uint8Array>) => Promise<T>,
): Promise<T> {
  const { release, sources, packages, progress, signal, time } = options;
  signal?.throwIfAborted();
  const child = new Deno.Command("mmdebstrap", {
    args: [
      `--mode=${Deno.uid() === 0 ? "root" : "unshare"}`,
      "--variant=apt",
      "--format=tar",
      // The lists are there already.
      "--skip=update",
      `--include=${packages.join(",")}`,
      `--hook-dir=${MERGED_USR}`,
      ...options.dpkgOptions.map((option) => `--dpkgopt=${option}`),
      ...options.setupHooks.map((hook) => `--setup-hook=${hook}`),
      ...options.customizeHooks.map((hook) => `--customize-hook=${hook}`),
      release,
      "-",
      ...sources,
    ],
    env: {
      SOURCE_DATE_EPOCH: `${time}`,
      // Not all are in the PATH of an ordinary user.
      PATH: `${Deno.env.get("PATH") ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // It removes what it has made so far. Of a Ctrl-C it hears as we do.
  const stop = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", stop);
  try {
    const said: string[] = [];
    const [taken, , status] = await Promise.allSettled([
      // Whoever does not read all of it must not hold up the writer.
      take(child.stdout).finally(() => child.stdout.cancel().catch(() => {})),
      eachLine(child.stderr, (line) => {
        if (said.push(line) > SHOWN_LINES) said.shift();
        // I: extracting archives...
        const step = /^I: ([a-z]+ing .*)\.\.\.$/.exec(line)?.[1];
        if (step !== undefined) progress(step);
      }),
      child.status,
    ]);
    signal?.throwIfAborted();
    if (status.status === "fulfilled" && !status.value.success) {
      throw new ImageError("host", "mmdebstrap failed. The end of what it said:", said.join("\n"));
    }
    if (taken.status === "rejected") throw taken.reason;
    return taken.value;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/**
 * Makes sure that mmdebstrap can run here.
 *
 * @throws {ImageError} with what to do
 */
export async function requireMmdebstrap(): Promise<void> {
  const root = Deno.uid() === 0;
  const missing = [
    ...await lacks("mmdebstrap", ["--version"]),
    ...root ? [] : await lacks("newuidmap", [], "uidmap"),
  ];
  if (missing.length > 0) {
    throw new ImageError(
      "host",
      "Cannot build an image: programs are missing on this machine. Install them:\n" +
        `  ${root ? "" : "sudo "}apt-get install ${missing.join(" ")}`,
    );
  }
  if (!root) await requireSubordinateIds();
}

async function lacks(program: string, args: string[], debian = program): Promise<string[]> {
  return await tryRun(program, args) === undefined ? [debian] : [];
}

/** mmdebstrap maps the ids of a whole system to ids that are the user's. */
async function requireSubordinateIds(): Promise<void> {
  const names = [Deno.env.get("USER") ?? "", `${Deno.uid()}`];
  for (const file of ["/etc/subuid", "/etc/subgid"]) {
    const lines = (await unlessMissing(Deno.readTextFile(file)) ?? "").split("\n");
    const own = lines.map((line) => line.split(":")).find(([name]) => names.includes(name));
    if (Number(own?.[2] ?? 0) >= 65536) continue;
    throw new ImageError(
      "host",
      `Cannot build an image as an ordinary user: ${file} gives you no 65536 ids. Add them:\n` +
        `  sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${
          names[0] || "USER"
        }`,
    );
  }
}
