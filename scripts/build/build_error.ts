/** A product could not be made; the message ends with what the compiler said. */
export class BuildError extends Error {
  override readonly name = "BuildError";

  constructor(readonly product: string, readonly output: string) {
    super(`Cannot build ${product}:\n${output.trimEnd()}`);
  }
}
