/** A limit as a worker takes it. */
export function ratesOf(
  limit: { iops?: number; bandwidth?: number; burst: number } | undefined,
): { operations?: number; bytes?: number; burst: number } | undefined {
  if (limit === undefined) return undefined;
  const { iops: operations, bandwidth: bytes, burst } = limit;
  return { operations, bytes, burst };
}
