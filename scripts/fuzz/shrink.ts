/**
 * A shorter tape that still has a property: leaves out pieces, large ones first, as long as tries are left.
 *
 * @param holds whether a tape has the property
 */
export async function shrink(
  tape: Uint8Array,
  tries: number,
  holds: (tape: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  for (let size = Math.ceil(tape.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let end = tape.length; end > 0; end -= size) {
      if (tries-- <= 0) return tape;
      const from = Math.max(0, end - size);
      const rest = new Uint8Array([...tape.subarray(0, from), ...tape.subarray(end)]);
      if (await holds(rest)) tape = rest;
    }
  }
  return tape;
}
