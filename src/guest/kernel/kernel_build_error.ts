/** A guest kernel could not be built: what was attempted, why it failed, what to do. */
export class KernelBuildError extends Error {
  /** The end of what the program that failed said, empty when none ran. */
  readonly output: string;

  constructor(message: string, output = "") {
    super(output === "" ? message : `${message}\n${output}`);
    this.name = "KernelBuildError";
    this.output = output;
  }
}
