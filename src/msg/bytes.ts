import * as v from "valibot";

/** The schema of a field that holds bytes. The receiver has a copy of its own. */
export const bytes = v.instance(
  Uint8Array,
  "bytes are expected",
) as unknown as v.GenericSchema<Uint8Array, Uint8Array<ArrayBuffer>>;
