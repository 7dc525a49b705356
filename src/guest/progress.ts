/**
 * Is told what a slow step does right now.
 *
 * @param step a short text, such as `downloading linux-image-6.1.0-9-cloud-amd64, 26.6 MB`
 * @param fraction how much of the step is done, 0 to 1, where that is known
 * @param detail how much that is in words, such as `812 of 1650 files`, instead of a percentage
 */
export type Progress = (step: string, fraction?: number, detail?: string) => void;

/** Where progress lines go: stderr, or a test's buffer. */
export interface ProgressOutput {
  readonly isTerminal: boolean;
  write(text: string): void;
}

const stderr: ProgressOutput = {
  isTerminal: Deno.stderr.isTerminal(),
  write: (text) => {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  },
};

/**
 * Shows progress as lines: one line per step, and on a terminal the percentage in place.
 * Elsewhere a step that lasts shows a quarter at a time, so that logs stay short.
 */
export function showProgress(output: ProgressOutput = stderr): Progress {
  let current = "";
  let shown = 0;
  return (step, fraction, detail) => {
    const percent = fraction === undefined ? undefined : Math.floor(fraction * 100);
    const quarter = percent === undefined ? 0 : Math.floor(percent / 25);
    if (output.isTerminal) {
      // A new step leaves the last state of the old one on its own line.
      const start = step === current ? "\x1b[1A\r\x1b[K" : "";
      const state = detail ?? (percent === undefined ? undefined : `${percent} %`);
      output.write(`${start}${step}${state === undefined ? "" : ` ${state}`}\n`);
    } else if (step !== current || quarter > shown) {
      output.write(`${step}${quarter === 0 ? "" : ` ${quarter * 25} %`}\n`);
    }
    current = step;
    shown = quarter;
  };
}

/** Progress that nobody wants to see. */
export const silent: Progress = () => {};
