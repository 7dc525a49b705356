/** Ticks per second in /proc (USER_HZ), which is 100 on every Linux of today. */
const HZ = 100;

/** Seconds of processor time that processes and all their descendants have used so far. */
export function processorTime(pids: readonly number[]): number {
  const children = new Map<number, number[]>();
  const used = new Map<number, number>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const fields = statOf(pid);
    if (fields === undefined) continue;
    // Behind the name: state, parent, …; the 12th and 13th are time in user mode and in the kernel.
    const parent = Number(fields[1]);
    children.set(parent, [...children.get(parent) ?? [], pid]);
    used.set(pid, (Number(fields[11]) + Number(fields[12])) / HZ);
  }
  const sum = (pid: number): number =>
    (used.get(pid) ?? 0) + (children.get(pid) ?? []).reduce((all, child) => all + sum(child), 0);
  return pids.reduce((all, pid) => all + sum(pid), 0);
}

function statOf(pid: number): string[] | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}
