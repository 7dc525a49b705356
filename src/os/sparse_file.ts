import type { Fd } from "./fd.ts";
import { monitor } from "./library.ts";
import { check } from "./os_error.ts";

/**
 * Writes what a memfd holds between two offsets to the same offsets of a file that is empty there, on another thread.
 * Pages of zeros, and those that nobody has touched, stay holes. Keep both descriptors and the mapping until it is done.
 *
 * @param windowOffset where the memfd is mapped, from its first byte on to `end`
 * @returns the number of bytes written
 */
export async function savePages(
  to: Fd,
  memory: Fd,
  windowOffset: number,
  start: number,
  end: number,
): Promise<number> {
  const saved = await monitor().sp_save_pages(to.raw(), memory.raw(), windowOffset, start, end);
  return check(saved, "save", "memory");
}

/**
 * Copies what a file holds between two offsets into a memfd, on another thread and within the kernel; holes are not
 * touched. Keep both descriptors until it is done.
 *
 * @returns the number of bytes copied
 */
export async function fillPages(memory: Fd, from: Fd, start: number, end: number): Promise<number> {
  const filled = await monitor().sp_fill_pages(memory.raw(), from.raw(), start, end);
  return check(filled, "fill", "memory");
}
