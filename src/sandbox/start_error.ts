import { errorText } from "../os/mod.ts";

/** Where starting a process failed; `starter` means that the starter itself is gone. */
export type StartStage = "request" | "fork" | "descriptors" | "jail" | "exec" | "starter";

const doing: Record<StartStage, string> = {
  request: "the request was refused",
  fork: "no process could be made",
  descriptors: "its descriptors could not be placed",
  jail: "it could not be confined",
  exec: "the program could not be run",
  starter: "the starter has ended",
};

/** A process that could not be started: which, at what stage, and the system's reason. */
export class StartError extends Error {
  override readonly name = "StartError";

  /** @param errno positive; 0 when there is none */
  constructor(readonly program: string, readonly stage: StartStage, readonly errno: number) {
    const reason = errno === 0 ? "" : ` (${errorText(errno)})`;
    super(`Cannot start ${program}: ${doing[stage]}${reason}`);
  }
}
