import type { startWorker } from "../../../src/machine/mod.ts";
import type { DrivenDevice } from "./driven_device.ts";

/** What a worker is told to be. */
export type WorkerDevice = Parameters<typeof startWorker>[1];
type WorkerServices = Parameters<typeof startWorker>[3];

/** What a kind of device is put through: its driver, and who is at its other end. */
export interface Load extends Disposable {
  /** What the worker is handed. Asked once for each worker. */
  device(): WorkerDevice;
  readonly services?: WorkerServices;
  /** What the driver accepts, of what is offered. */
  readonly features: bigint;
  readonly configSize: number;
  /** How many queues, of 64 descriptors each. */
  readonly queues: number;
  readonly hasSharedMemory?: boolean;
  /** Its driver goes on where a worker that was taken away has stopped; otherwise it begins anew. */
  readonly resumes?: boolean;
  /** The driver begins, with fresh queues. */
  begin?(device: DrivenDevice): void;
  /** Some tenths of a second of work at most, to its end; what comes of it is checked. */
  round(device: DrivenDevice): Promise<void>;
  /** Leaves requests under way, whose worker is going to be taken away. */
  leave(device: DrivenDevice): void;
  /** What was done, for people. */
  readonly counts: Record<string, number>;
}

/** Adds to one of the counts. */
export function count({ counts }: Pick<Load, "counts">, what: string, amount = 1): void {
  counts[what] = (counts[what] ?? 0) + amount;
}

/** A whole number below a limit. */
export function below(limit: number): number {
  return Math.floor(Math.random() * limit);
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until something is so. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`It has not come about: ${condition}`);
    await pause(1);
  }
}

/** Bytes that tell their number, and differ everywhere. */
export function stamped(number: number, length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(number + i, 0x9e37_79b1);
  return new Uint8Array(words.buffer, 0, length);
}
