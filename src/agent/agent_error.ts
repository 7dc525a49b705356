/**
 * A guest's agent could not be reached, or did not do what it was asked for; the message says why.
 *
 * @example
 * ```ts
 * import { AgentError, Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * try {
 *   await vm.exec(["no-such-command"]);
 * } catch (error) {
 *   if (!(error instanceof AgentError)) throw error;
 *   console.log(error.exitStatus, error.message); // 127 There is no command …
 * }
 * ```
 */
export class AgentError extends Error {
  override readonly name: string = "AgentError";

  /**
   * @param exitStatus that of `spectrum exec`: 127 there is no such command, 126 it cannot be run, 125 everything else
   */
  constructor(message: string, readonly exitStatus: 125 | 126 | 127 = 125, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The other side said what no agent says. */
export class AgentProtocolError extends AgentError {
  override readonly name = "AgentProtocolError";

  /** @param what it did */
  constructor(what: string) {
    super(`What answers as the guest's agent is none: ${what}.`);
  }
}

/** The connection ended before the answer: the VM has ended, or its agent. */
export class AgentLostError extends AgentError {
  override readonly name = "AgentLostError";

  constructor(options?: ErrorOptions) {
    super("The connection to the guest's agent has ended.", 125, options);
  }
}
