/** What a program that ended said. */
export interface RunResult {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end, in the C locale, without a terminal.
 *
 * @param onLine is given each line of stdout as it comes
 * @returns undefined where there is no such program
 */
export async function tryRun(
  program: string,
  args: readonly string[],
  options: { cwd?: string; onLine?: (line: string) => void } = {},
): Promise<RunResult | undefined> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      cwd: options.cwd,
      env: { LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const [stdout, stderr, status] = await Promise.all([
    readLines(child.stdout, options.onLine),
    readLines(child.stderr),
    child.status,
  ]);
  return { success: status.success, stdout, stderr };
}

/** The same, where a missing program is an error. */
export async function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; onLine?: (line: string) => void } = {},
): Promise<RunResult> {
  const result = await tryRun(program, args, options);
  return result ?? { success: false, stdout: "", stderr: `${program}: command not found` };
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine?: (line: string) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let all = "", rest = "";
  for await (const chunk of stream) {
    const text = decoder.decode(chunk, { stream: true });
    all += text;
    if (onLine === undefined) continue;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  return all;
}
