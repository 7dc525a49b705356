import assert from "node:assert/strict";
import type { Bench, RunningGuest } from "../machine.ts";

/** Threads of the load, each with a request under way. */
const THREADS = 16;
/** Seconds; the emulation may be slow, and a device VM has to boot. */
const LIMIT = 300;

/** A disk's backend that tests kill, and how its disk is provided otherwise. */
export interface Victim {
  /** Whose end it is, for titles. */
  readonly name: string;
  /** Ends it by SIGKILL; whose business it is to bring another does so. */
  kill(): Promise<void>;
  /** Stops it by SIGSTOP. */
  stop(): Promise<void>;
  /** Continues it by SIGCONT. */
  goOn(): Promise<void>;
  /** How often it is killed. */
  readonly kills: number;
  /** For how many seconds it is stopped. */
  readonly stopped: number;
}

/**
 * Ends a backend again and again while the guest writes to the disk and checks what it wrote: it must see a pause, and
 * nothing else.
 *
 * @param disk the guest's device node; what it holds is lost
 * @param device the disk's name for the monitor
 */
export async function recoveryTests(
  t: Deno.TestContext,
  vm: RunningGuest,
  disk: string,
  device: string,
  victim: Victim,
): Promise<void> {
  const load = async (body: () => Promise<void>) => {
    const from = vm.output.length;
    const seed = crypto.getRandomValues(new Uint32Array(1))[0];
    await vm.process.write(`disk_load ${disk} ${THREADS} ${seed} & load=$!\n`);
    const said = (pattern: RegExp) => pattern.test(vm.output.slice(from));
    await vm.until(() => said(/load: begins/), LIMIT);
    await body();
    assert.doesNotMatch(vm.output.slice(from), /load: failed/);
    await vm.process.write("kill $load; wait $load\n");
    await vm.until(() => said(/load: (ok|failed).*\r?\n/), LIMIT);
    const [end] = /load: (ok|failed).*/.exec(vm.output.slice(from)) ?? [];
    assert.match(end ?? "", /load: ok/, vm.output.slice(from));
    assert.doesNotMatch(await vm.run("dmesg -c"), /I\/O error|blocked for more than/);
    console.log(`${victim.name}: ${end} (seed ${seed})`);
  };
  await vm.run("dmesg -c >/dev/null");

  await t.step(`${victim.name}: killed ${victim.kills} times under verified load`, async () => {
    const seen = new Outages(vm, device);
    await load(async () => {
      for (let kill = 1; kill <= victim.kills; kill++) {
        await new Promise((resolve) => setTimeout(resolve, 700 + 600 * Math.random()));
        await victim.kill();
        await vm.until(() => seen.all().length === kill, LIMIT);
      }
    });
    const outages = seen.all();
    const busy = outages.filter(({ taken }) => taken > 0).length;
    console.log(`${victim.name}: killed ${outages.length} times, ${figures(outages)}`);
    // Of a few kills some more may meet it just when it has answered everything.
    const least = Math.floor((victim.kills < 20 ? 0.5 : 0.8) * victim.kills);
    assert.ok(busy >= least, `it had requests in hand at ${busy} kills`);
  });

  await t.step(`${victim.name}: stopped for ${victim.stopped} s, and continued`, async () => {
    const seen = new Outages(vm, device);
    await load(async () => {
      await victim.stop();
      await new Promise((resolve) => setTimeout(resolve, victim.stopped * 1000));
      await victim.goOn();
      await new Promise((resolve) => setTimeout(resolve, 500));
    });
    assert.deepEqual(seen.all(), [], "nobody had to notice");
  });
}

/** How long a disk was without a backend, in milliseconds. */
interface Outage {
  readonly lasted: number;
  /** Requests that the guest had made. */
  readonly waiting: number;
  /** Those of them that the backend had taken, by its notes. */
  readonly taken: number;
}

/** What the monitor says of a device from now on. */
class Outages {
  readonly #from: number;
  readonly #pattern: RegExp;

  constructor(private readonly vm: RunningGuest, device: string) {
    this.#from = vm.output.length;
    this.#pattern = new RegExp(
      `${device}: [^\\n]*; requests under way: (\\d+), taken: (\\d+);[^]*?${device}: the backend is back after (\\d+) ms`,
      "g",
    );
  }

  all(): Outage[] {
    return [...this.vm.output.slice(this.#from).matchAll(this.#pattern)]
      .map(([, waiting, taken, lasted]) => (
        { waiting: Number(waiting), taken: Number(taken), lasted: Number(lasted) }
      ));
  }
}

function figures(outages: readonly Outage[]): string {
  const spread = (values: readonly number[]) => {
    const sorted = values.toSorted((a, b) => a - b);
    return [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].join(" / ");
  };
  const busy = outages.filter(({ taken }) => taken > 0).length;
  return `${busy} times with requests in hand (${
    spread(outages.map(({ taken }) => taken))
  }); away ` +
    `for ${spread(outages.map(({ lasted }) => lasted))} ms (min / median / max)`;
}

/** The worker of the only disk that has one on the host. */
export function hostWorker(bench: Bench): Victim {
  const signal = async (name: string) => {
    // grep's status tells also of any process that ended while it looked.
    const { status, stdout, stderr } = await bench.sh(
      "set -- $(grep -slzx 'bl[k]' /proc/[0-9]*/cmdline); echo $#; " +
        `worker=\${1#/proc/}; [ $# = 1 ] && kill -${name} \${worker%/cmdline}`,
    );
    assert.equal(status, 0, `workers: ${stdout}${stderr}`);
  };
  return {
    name: "a worker on the host",
    kill: () => signal("KILL"),
    stop: () => signal("STOP"),
    goOn: () => signal("CONT"),
    kills: Number(Deno.env.get("SPECTRUM_KILLS") ?? 6),
    stopped: Number(Deno.env.get("SPECTRUM_STOP_SECONDS") ?? 5),
  };
}
