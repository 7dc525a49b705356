import type { Bench } from "./machine.ts";

/**
 * Prints the context switches so far of each thread of each process of ours, those of vCPUs apart, which the runtime
 * calls worker-N: `KIND of PID/THREAD: COUNT`.
 */
const SCRIPT = `
for p in /proc/[0-9]*; do
  words=$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)
  case $words in
    *spectrum.js*) kind=monitor ;;
    *device.js*) kind=$(echo \${words##*device.js }) ;;
    *spectrum-starter*) kind=starter ;;
    *) continue ;;
  esac
  for t in $p/task/*; do
    case $(cat $t/comm) in worker-*) continue ;; esac
    echo "$kind of \${p#/proc/}/\${t##*/}: $(($(sed -n 's/.*_switches:[^0-9]*//p' $t/status | tr '\\n' '+')0))"
  done
done`;

/** Context switches of the processes of ours, by thread: one that ends takes its count along. */
export class ContextSwitches {
  private constructor(private readonly counts: ReadonlyMap<string, number>) {}

  static async now(bench: Bench): Promise<ContextSwitches> {
    // Not as an argument: its words are what it looks for.
    const { stdout } = await bench.stage.run({ command: ["sh"], stdin: SCRIPT });
    const lines = stdout.trim().split("\n").map((line) => line.split(": "));
    return new ContextSwitches(new Map(lines.map(([name, count]) => [name, Number(count)])));
  }

  /** What each thread has had since then, where it has had any. */
  since(before: ContextSwitches): Record<string, number> {
    return Object.fromEntries(
      [...this.counts]
        .map(([name, count]): [string, number] => [name, count - (before.counts.get(name) ?? 0)])
        .filter(([, count]) => count > 0),
    );
  }
}
