/** An image cannot be built, used or removed: what was attempted, why it failed, what to do. */
export class ImageError extends Error {
  override readonly name = "ImageError";
  /** Whether the user asked for what cannot be, or this host cannot do it. */
  readonly fault: "usage" | "host";
  /** The end of what the program that failed said, empty when none ran. */
  readonly output: string;

  constructor(fault: "usage" | "host", message: string, output = "") {
    super(output === "" ? message : `${message}\n${output}`);
    this.fault = fault;
    this.output = output;
  }
}
