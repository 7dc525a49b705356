/** Reading and replacing small files, where a missing one is no error. */

/** @returns undefined when there is no such file */
export async function readIfThere(path: string): Promise<string | undefined> {
  return await unlessMissing(Deno.readTextFile(path));
}

/** Replaces a file at once, so that nobody ever sees half of one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(temporary, text, { mode: 0o600 });
  await Deno.rename(temporary, path);
}

/** What a build that was killed leaves behind, when it is so old that nobody works on it. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;

/** Whether something temporary is nobody's any more. */
export async function isAbandoned(path: string): Promise<boolean> {
  const stat = await unlessMissing(Deno.stat(path));
  return Date.now() - (stat?.mtime?.getTime() ?? Date.now()) > ABANDONED_MS;
}

/** Names in a folder, in order; none when it is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  const list = async () => (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  return (await unlessMissing(list()) ?? []).sort();
}

/** The work's result, or undefined when it finds that a file is not there. */
export async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
