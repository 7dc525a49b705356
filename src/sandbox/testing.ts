import { basename, join } from "node:path";
import { compileFilter } from "./call_filter.ts";
import type { ArgumentRule, CallRule } from "./call_rule.ts";
import { systemCallNumber } from "./system_calls.ts";

/** Of an ordinary user whom tests become. */
const USER = 1000;

/** Who runs something: whoever runs the tests, an ordinary user, or the root of a container, which is us outside. */
export type Who = "ourselves" | "user" | "container";

/** Runs a script as somebody, with the runtime at hand. Otherwise as {@linkcode runProgramAs}. */
export async function runAs(who: Who, script: string, args: readonly string[]): Promise<string> {
  const flags = ["-A", "--no-check", "--no-lock", "--no-config"];
  return await runProgramAs(who, Deno.execPath(), ["run", ...flags, script, ...args]);
}

/**
 * Runs a program as somebody who may not be able to get at it where it is.
 *
 * @returns its standard output
 */
export async function runProgramAs(
  who: Who,
  path: string,
  args: readonly string[],
): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-as-user-" });
  try {
    let program = path;
    let before: string[] = [];
    if (who === "user") {
      await Deno.chmod(folder, 0o755);
      program = join(folder, basename(path));
      await Deno.copyFile(path, program);
      before = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"];
    }
    if (who === "container") before = ["unshare", "--user", "--map-root-user"];
    const [command, ...rest] = [...before, program, ...args];
    const { code, stdout, stderr } = await new Deno.Command(command, {
      args: rest,
      stdin: "null",
      env: { DENO_DIR: join(folder, "cache"), HOME: "/", NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(stdout);
    if (code !== 0) throw new Error(`${program}: ${text}${new TextDecoder().decode(stderr)}`);
    return text;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * What a filter says of a system call: runs it as the kernel would.
 *
 * @returns `allow`, `kill`, `report`, or `answer` and a number of errno
 */
export function decide(
  filter: Uint8Array<ArrayBuffer>,
  call: number,
  args: readonly number[],
  architecture = 0xc000_003e,
): string {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call, true);
  data.setUint32(4, architecture, true);
  args.forEach((value, i) => data.setUint32(16 + 8 * i, value, true));
  const program = new DataView(filter.buffer);
  let accumulator = 0;
  for (let at = 0; at < filter.length / 8; at++) {
    const constant = program.getUint32(8 * at + 4, true);
    switch (program.getUint16(8 * at, true)) {
      case 0x20:
        accumulator = data.getUint32(constant, true);
        break;
      case 0x54:
        accumulator = (accumulator & constant) >>> 0;
        break;
      case 0x15:
        at += program.getUint8(8 * at + (accumulator === constant ? 2 : 3));
        break;
      case 0x06:
        return named(constant);
      default:
        throw new Error(`No such instruction at ${at}`);
    }
  }
  throw new Error("The filter has no end");
}

function named(value: number): string {
  const kinds: Record<number, string> = {
    0x8000_0000: "kill",
    0x0003_0000: "report",
    0x7fff_0000: "allow",
  };
  const kind = kinds[value];
  if (kind !== undefined) return kind;
  if (value >>> 16 !== 5) throw new Error(`No such answer: ${value.toString(16)}`);
  return `answer ${value & 0xffff}`;
}

/** Arguments that satisfy a rule: one list for each value that it names. */
export function examples({ when = [] }: CallRule): number[][] {
  let lists: number[][] = [[0, 0, 0, 0, 0, 0]];
  for (const rule of when) {
    lists = lists.flatMap((list) => valuesOf(rule).map((value) => list.with(rule.argument, value)));
  }
  return lists;
}

function valuesOf(rule: ArgumentRule): number[] {
  return "never" in rule ? [0] : Object.values(rule.among);
}

/** Calls of rules without which a filter would be the same, with the rules' reasons. */
export function idleRules(rules: readonly CallRule[]): string[] {
  const filter = compileFilter(rules, "kill");
  return rules.flatMap((rule) => {
    const without = compileFilter(rules.filter((other) => other !== rule), "kill");
    const idle = rule.calls.filter((call) => {
      const number = systemCallNumber(call);
      return examples(rule).every((args) =>
        decide(filter, number, args) === decide(without, number, args)
      );
    });
    return idle.map((call) => `${call}: ${rule.why}`);
  });
}
