import type { OnOutput } from "./agent_client.ts";
import { type LabCommand, type LabOptions, LabSession } from "./session.ts";

/** One command in a lab host of its own. */
export interface RunInLabOptions extends LabOptions, LabCommand {
  /** What the command reads: nothing by default. */
  readonly stdin?: Uint8Array | string;
  readonly onOutput?: OnOutput;
  /** After which the command is killed, status 124. */
  readonly timeoutSeconds?: number;
  /** Where the content of the lab host's /out goes. */
  readonly outDir?: string;
}

/**
 * Boots a lab host, runs one command in it, powers it off.
 *
 * @returns the command's exit status; 124 when it took too long
 * @throws {LabDiedError} when the lab host dies
 */
export async function runInLab(options: RunInLabOptions): Promise<{ status: number }> {
  await using session = await LabSession.start(options);
  const { status } = await session.run({ ...options, timeout: options.timeoutSeconds });
  if (options.outDir !== undefined) await session.copyOut("/out", options.outDir);
  return { status };
}
