/** What `deno task lab` was asked for. */
export interface LabArguments {
  readonly command: readonly string[];
  readonly user: boolean;
  readonly keep: boolean;
  readonly memory?: number;
  readonly cpus?: number;
  readonly timeout?: number;
  readonly out?: string;
  readonly files: readonly string[];
}

/** The command line is wrong; the message says how. */
export class LabUsageError extends Error {}

/** The help text. */
export const USAGE = `Runs a command in the lab: a QEMU guest in which KVM is real.

  deno task lab [OPTIONS] [--] COMMAND [ARGUMENTS]

  --user          run it as an ordinary user who is in the group kvm
  --memory MIB    memory of the lab host, by default 8192
  --cpus N        its CPUs, by default 1 (with more, guests break now and then)
  --timeout S     kill the command after so many seconds, status 124
  --out DIR       copy the lab's /out into DIR afterwards
  --file PATH     bring a file or folder along, at the same path; may be repeated
  --keep          afterwards start a shell in the lab host (on a terminal)

The working tree (without .git) is at its own path, as are Deno and the guest kernels. Everything can be
written to and is gone afterwards; /scratch is a disk for O_DIRECT. The exit status is the command's;
125 when the lab host dies.`;

/** @throws {LabUsageError} */
export function parseArguments(args: readonly string[]): LabArguments | "help" {
  const rest = [...args];
  const parsed: Record<string, string> = {};
  const files: string[] = [];
  let user = false, keep = false;
  while (rest.length > 0 && rest[0].startsWith("-")) {
    const option = rest.shift() ?? "";
    if (option === "--") break;
    if (option === "--help" || option === "-h") return "help";
    if (option === "--user") user = true;
    else if (option === "--keep") keep = true;
    else if (["--memory", "--cpus", "--timeout", "--out", "--file"].includes(option)) {
      const value = rest.shift();
      if (value === undefined) throw new LabUsageError(`${option} needs a value.`);
      if (option === "--file") files.push(Deno.realPathSync(value));
      else parsed[option.slice(2)] = value;
    } else throw new LabUsageError(`There is no option ${option}.`);
  }
  if (rest.length === 0) throw new LabUsageError("Which command should run in the lab?");
  const number = (key: string) => {
    if (parsed[key] === undefined) return undefined;
    const value = Number(parsed[key]);
    if (!(value > 0)) throw new LabUsageError(`--${key} needs a number, not "${parsed[key]}".`);
    return value;
  };
  return {
    command: rest,
    user,
    keep,
    files,
    memory: number("memory"),
    cpus: number("cpus"),
    timeout: number("timeout"),
    out: parsed.out,
  };
}
