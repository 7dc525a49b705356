/** Something for guests could not be had: what was attempted, what the tool said, what to do. */
export class FetchError extends Error {
  /** Output of the program that failed, empty when none ran. */
  readonly output: string;

  constructor(message: string, output = "") {
    super(output === "" ? message : `${message}\n${output}`);
    this.name = "FetchError";
    this.output = output;
  }
}
