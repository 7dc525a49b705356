const UNITS: Record<string, number> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/**
 * A size in bytes from `512M`, `2G`, `1536K`, `1.5GiB` or a plain number of bytes. Units are powers of 1024.
 *
 * @returns the bytes, or undefined when the text is not a whole number of bytes
 */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const bytes = Number(match[1]) * UNITS[match[2].toUpperCase()];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A size as people write it: the largest unit that leaves it whole, `512M` for 536870912. */
export function formatSize(bytes: number): string {
  const unit = ["T", "G", "M", "K"].find((u) => bytes >= UNITS[u] && bytes % UNITS[u] === 0) ?? "";
  return `${bytes / UNITS[unit]}${unit}`;
}
