import { dirname, join } from "node:path";
import type { PathRule } from "../os/mod.ts";
import { MachineError } from "./outcome.ts";
import type { GroupInfo } from "./vm_control.ts";

/** What all processes of a VM together may use. */
export interface GroupLimits {
  /** Processors. */
  readonly cpu?: number;
  /** Bytes. */
  readonly memory?: number;
}

/** Where groups are, and who is to be in one; for tests. */
export interface CgroupPlace {
  readonly root?: string;
  readonly proc?: string;
}

/** Microseconds in which a group gets its share of the processors. */
const PERIOD = 100_000;
const LEAST_QUOTA = 1000;

/**
 * A control group (cgroups(7), version 2) with this process in it, and with it the threads and processes that it makes
 * from then on. It is made below the group that the process is in, or beside that, wherever this user may.
 */
export class Cgroup implements Disposable {
  readonly path: string;
  readonly #home: string;
  /** Controllers that we have switched on in the group around ours. */
  readonly #enabled: string[] = [];

  readonly #limits: GroupLimits;

  private constructor(path: string, home: string, limits: GroupLimits) {
    this.path = path;
    this.#home = home;
    this.#limits = limits;
  }

  /**
   * Makes a group and moves this process there.
   *
   * @throws {MachineError} when this host or user cannot
   */
  static enter(name: string, limits: GroupLimits, place: CgroupPlace = {}): Cgroup {
    const { root = "/sys/fs/cgroup", proc = "/proc/self/cgroup" } = place;
    const own = ownGroup(root, proc);
    const reasons = new Set<string>();
    for (let around = own; around.startsWith(root); around = dirname(around)) {
      try {
        const group = Cgroup.#make(around, own, name, limits);
        group.#set();
        return group;
      } catch (error) {
        reasons.add(`${around}: ${error instanceof Error ? error.message : error}`);
      }
    }
    throw new MachineError(
      "host",
      `Cannot limit the VM by a control group: ${[...reasons].join("; ")}. ` +
        "Run it in a group of its own (systemd-run --user --scope -p Delegate=yes spectrum run …), " +
        "or take [limits] out of its file.",
    );
  }

  /** Makes a group in another one and moves this process there. */
  static #make(around: string, home: string, name: string, limits: GroupLimits): Cgroup {
    const wanted = [
      ...(limits.cpu === undefined ? [] : ["cpu"]),
      ...(limits.memory === undefined ? [] : ["memory"]),
    ];
    const there = words(join(around, "cgroup.controllers"));
    const missing = wanted.filter((controller) => !there.includes(controller));
    if (missing.length > 0) throw new Error(`it has no controller ${missing.join(" and ")}`);
    const group = new Cgroup(join(around, name), home, limits);
    try {
      Deno.mkdirSync(group.path, { recursive: true });
      write(join(group.path, "cgroup.procs"), String(Deno.pid));
      const on = words(join(around, "cgroup.subtree_control"));
      for (const controller of wanted.filter((controller) => !on.includes(controller))) {
        write(join(around, "cgroup.subtree_control"), `+${controller}`);
        group.#enabled.push(controller);
      }
      return group;
    } catch (error) {
      group[Symbol.dispose]();
      throw error;
    }
  }

  #set(): void {
    const { cpu, memory } = this.#limits;
    if (cpu !== undefined) {
      const quota = Math.max(LEAST_QUOTA, Math.round(cpu * PERIOD));
      write(join(this.path, "cpu.max"), `${quota} ${PERIOD}`);
    }
    if (memory === undefined) return;
    write(join(this.path, "memory.max"), String(memory));
    // A machine of which some processes are missing is none.
    write(join(this.path, "memory.oom.group"), "1");
  }

  get info(): GroupInfo {
    const cpu = numbersIn(join(this.path, "cpu.stat"));
    const { cpu: processors, memory } = this.#limits;
    return {
      ...(processors === undefined ? {} : { cpu: processors }),
      ...(memory === undefined ? {} : { memoryLimitBytes: memory }),
      cpuSeconds: (cpu.get("usage_usec") ?? 0) / 1e6,
      throttled: cpu.get("nr_throttled") ?? 0,
      throttledSeconds: (cpu.get("throttled_usec") ?? 0) / 1e6,
      memoryBytes: Number(read(join(this.path, "memory.current")) ?? 0),
    };
  }

  /** What {@linkcode info} and the end need of it. */
  get files(): PathRule[] {
    const around = dirname(this.path);
    const written = [
      join(this.#home, "cgroup.procs"),
      ...(this.#enabled.length > 0 ? [join(around, "cgroup.subtree_control")] : []),
    ];
    return [
      { path: this.path, rights: ["READ_FILE"] },
      { path: around, rights: ["REMOVE_DIR"] },
      ...written.map((path): PathRule => ({ path, rights: ["WRITE_FILE", "TRUNCATE"] })),
    ];
  }

  /** This process goes back to where it was. All others of the group must have ended. */
  [Symbol.dispose](): void {
    // A group that gives processors or memory to others has no processes of its own.
    for (const controller of this.#enabled) {
      attempt(() => write(join(dirname(this.path), "cgroup.subtree_control"), `-${controller}`));
    }
    attempt(() => write(join(this.#home, "cgroup.procs"), String(Deno.pid)));
    attempt(() => Deno.removeSync(this.path));
  }
}

/** What of it fails leaves an empty group, which the next VM of the name uses. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/** The group that this process is in. */
function ownGroup(root: string, proc: string): string {
  const path = /^0::(\/.*)$/m.exec(read(proc) ?? "")?.[1];
  if (path === undefined || read(join(root, "cgroup.controllers")) === undefined) {
    throw new MachineError(
      "host",
      `Cannot limit the VM: this host has no control groups of version 2 at ${root}. Take [limits] out of its file.`,
    );
  }
  return path === "/" ? root : join(root, path);
}

function numbersIn(path: string): Map<string, number> {
  const lines = (read(path) ?? "").split("\n").map((line) => line.split(" "));
  return new Map(lines.map(([name, value]) => [name, Number(value)]));
}

const words = (path: string) => (read(path) ?? "").split(/\s+/).filter((word) => word !== "");

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/** A file of the kernel is there already, or it is none. */
function write(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { create: false });
}
