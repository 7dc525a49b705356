/** What commands print: for people on a terminal, and for programs everywhere else. */

/** Whether standard output shows colours (https://no-color.org). */
function colours(): boolean {
  return Deno.stdout.isTerminal() && !Deno.noColor;
}

/** A heading, bold where that shows. */
export function bold(text: string): string {
  return colours() ? `\x1b[1m${text}\x1b[22m` : text;
}

/** What is good or bad, in its colour where that shows. */
export function coloured(colour: "green" | "yellow" | "red", text: string): string {
  const code = { green: 32, yellow: 33, red: 31 }[colour];
  return colours() ? `\x1b[${code}m${text}\x1b[39m` : text;
}

/** Columns under their headings. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => row[i].length))
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd();
  return [bold(line(headings)), ...rows.map(line)].join("\n");
}

/** Names and values, one a line. */
export function list(entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => `${bold(`${name}:`.padEnd(width + 1))} ${value}`).join(
    "\n",
  );
}

/**
 * Prints all of a text, however long.
 *
 * @throws {Deno.errors.BrokenPipe} when nobody reads any more, which the console does not tell
 */
export async function print(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

/** Prints data for programs. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, undefined, 2));
}

/** Bytes as people read them. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = units.findIndex((_, i) => bytes < 1000 * 1024 ** i);
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 || bytes >= 100 * 1024 ** unit ? 0 : 1)} ${
    units[unit]
  }`;
}

/** A time span as people read it: the two largest units. */
export function duration(seconds: number): string {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]] as const;
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  let rest = Math.floor(seconds);
  return units.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return `${count} ${name}`;
  }).join(" ");
}
