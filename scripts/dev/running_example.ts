import { join } from "node:path";
import type { DeviceInfo } from "../../src/machine/mod.ts";
import { build } from "../build/mod.ts";
import type { LabSession } from "../lab/mod.ts";
import { root } from "../root.ts";
import { spectrumCommand } from "../spectrum_command.ts";
import { sourceChanges } from "./source_changes.ts";
import { watchWorkers } from "./watch_workers.ts";

const BUNDLE = join(root, "build", "device.js");

/** Seconds for a new worker; the lab is slow. */
const WAIT = 20;

/** Where the example runs, this machine or the lab. */
export interface Place {
  /** Puts the workers' bundle where it runs; it is in `build/` here. */
  renew(bundle: Uint8Array): Promise<void>;
  run(command: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }>;
}

/** This machine. */
export const here: Place = {
  renew: () => Promise.resolve(),
  async run([program, ...args]) {
    const { code, stdout, stderr } = await new Deno.Command(program, { args }).output();
    const text = new TextDecoder();
    return { status: code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  },
};

/** A lab host, which has a copy of the tree. */
export function inLab(session: LabSession): Place {
  return {
    async renew(bundle) {
      const script = `cat >${BUNDLE}.new && mv ${BUNDLE}.new ${BUNDLE}`;
      await session.run({ command: ["sh", "-c", script], stdin: bundle });
    },
    run: (command) => session.run({ command }),
  };
}

/** Replaces the workers of the example whenever their source changes, until the signal comes. */
export async function watchExample(place: Place, name: string, signal: AbortSignal): Promise<void> {
  report("a worker is restarted when its source below src/ changes");
  await watchWorkers({
    changes: sourceChanges(join(root, "src"), signal),
    async rebuild() {
      await build(["device.js"], report);
      return await Deno.readFile(BUNDLE);
    },
    async restart(bundle) {
      await place.renew(bundle);
      const { status, stdout, stderr } = await spectrum(place, "info", "--json", name);
      if (status !== 0) throw new Error(stderr.trim());
      const { devices } = JSON.parse(stdout) as { devices: DeviceInfo[] };
      for (const { name: device, backend } of devices) {
        if (backend !== "worker") continue;
        const { stdout, stderr } = await spectrum(
          place,
          ...["restart-device", "--wait", String(WAIT), name, device],
        );
        report((stdout + stderr).trim());
      }
    },
    report,
  });
}

function spectrum(place: Place, ...words: string[]) {
  return place.run([...spectrumCommand, ...words]);
}

/** The guest's console may have made the terminal raw, so that carriages do not return by themselves. */
function report(text: string): void {
  const lines = text.split("\n").map((line) => `dev: ${line}\r\n`).join("");
  Deno.stderr.writeSync(new TextEncoder().encode(lines));
}
