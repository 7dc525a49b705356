/** What one call works on, in bytes: small enough that the threads end at about the same time. */
const PIECE = 2 ** 26;
const MOST_THREADS = 4;

/** Does something with all of a region, piece by piece, on several threads; the first failure ends it. Gives the sum. */
export async function inPieces(
  size: number,
  work: (start: number, end: number) => Promise<number>,
): Promise<number> {
  let next = 0;
  let sum = 0;
  let failure: unknown;
  const thread = async () => {
    while (next < size && failure === undefined) {
      const start = next;
      next = Math.min(start + PIECE, size);
      try {
        sum += await work(start, next);
      } catch (error) {
        failure ??= error;
      }
    }
  };
  // All of them have ended when this returns: nobody works on what the caller then closes.
  await Promise.all(
    Array.from({ length: Math.min(navigator.hardwareConcurrency, MOST_THREADS) }, thread),
  );
  if (failure !== undefined) throw failure;
  return sum;
}
