/** `dist/spectrum` cannot be made; the message says why and, where that is known, what to do. */
export class CompileError extends Error {
  override readonly name = "CompileError";
}
