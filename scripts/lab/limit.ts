import { LabDiedError } from "./lab_died_error.ts";

/** What a limit needs of the lab host. */
export interface LimitedLab {
  /** Runs a shell script and gives its output; never settles in a lab host that hangs. */
  sh(script: string): Promise<string>;
  /** What its kernel has printed. */
  console(): string;
  kill(): void;
}

/** A lab host, even a busy one, answers within so many milliseconds. */
const PATIENCE = 30_000;

/** What every thread that is not asleep in an ordinary way waits for, the disks, and the kernel's last words. */
const EXAMINE = `
for p in /proc/[0-9]*; do
  name=$(tr '\\0' ' ' <$p/cmdline | cut -c1-100)
  [ -n "$name" ] && for t in $p/task/*; do
    echo "\${t#/proc/} $(cut -d' ' -f3,14,15 $t/stat) $(cat $t/wchan) $name"
    grep -q '^State:.D' $t/status && sed 's/^/    /' $t/stack
  done
done
cat /proc/loadavg; grep -H . /sys/block/vd*/inflight; dmesg | tail -n 20`;

/**
 * The status of a command, or 124 when it took too long and was killed. What the lab host was doing then goes to stderr. A
 * command that cannot be killed, or a lab host that does not answer, ends the lab host.
 *
 * @param signal sends the command a signal
 * @param seconds how long it may take
 * @throws {LabDiedError} when the lab host had to be ended
 */
export async function limited(
  status: Promise<number>,
  signal: (number: number) => Promise<void>,
  seconds: number,
  lab: LimitedLab,
): Promise<number> {
  const ended = await within(status, seconds * 1000);
  if (ended !== undefined) return ended;
  const seen = await within(lab.sh(EXAMINE), PATIENCE);
  console.error(`lab: killed after ${seconds} s. The lab host meanwhile:\n${seen ?? "no answer"}`);
  await signal(9);
  if (await within(status, PATIENCE) !== undefined) return 124;
  lab.kill();
  const what = seen === undefined ? "it does not answer" : "a process in it cannot be killed";
  throw new LabDiedError(`${what} (a command ran for ${seconds} s)`, lab.console().slice(-2000));
}

/** A promise's value, or undefined when that takes longer. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
