import { createHash } from "node:crypto";

/** The guest's self-check is not as it should be. */
export class SelfCheckError extends Error {}

/** SHA-256 over a whole file, in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

/**
 * Compares the hash that the guest printed with that of the host's image.
 *
 * @param output what the guest printed
 * @returns the line to print, `disk: sha256 HEX guest = host`
 * @throws {SelfCheckError} when there is none or they differ
 */
export async function checkOutput(output: string, disk: string): Promise<string> {
  const guest = /^disk: sha256 ([0-9a-f]{64})\s*$/m.exec(output)?.[1];
  if (guest === undefined) throw new SelfCheckError("The guest printed no hash of its disk.");
  const host = await hashFile(disk);
  if (guest !== host) {
    throw new SelfCheckError(
      `The disk differs: sha256 ${guest} in the guest, ${host} on the host.`,
    );
  }
  return `disk: sha256 ${guest} guest = host`;
}
