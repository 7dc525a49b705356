import { Errno, errorText } from "../os/mod.ts";

/** Where starting a process failed; `starter` means that the starter itself is gone. */
export type StartStage =
  | "request"
  | "fork"
  | "descriptors"
  | "jail"
  | "exec"
  | "namespaces"
  | "root"
  | "landlock"
  | "starter";

const doing: Record<StartStage, string> = {
  request: "the request was refused",
  fork: "no process could be made",
  descriptors: "its descriptors could not be placed",
  jail: "it could not be confined",
  exec: "the program could not be run",
  namespaces: "it could not get namespaces of its own",
  root: "its root could not be put together",
  landlock: "Landlock, which Linux has from 5.13 on, could not restrict its files",
  starter: "the starter has ended",
};

const doctor = "`spectrum doctor` says how to allow it; `--sandbox reduced` does without.";

/** What to do about it, where that is not plain from the reason. */
const mends: Partial<Record<StartStage, string>> = {
  exec: "Every user must be able to read and run it.",
  namespaces: doctor,
  root: doctor,
  landlock: doctor,
};

/** A process that could not be started: which, at what stage, and the system's reason. */
export class StartError extends Error {
  override readonly name = "StartError";
  /** What can be done about it. */
  readonly mend: string | undefined;

  /** @param errno positive; 0 when there is none */
  constructor(readonly program: string, readonly stage: StartStage, readonly errno: number) {
    const reason = errno === 0 ? "" : ` (${errorText(errno)})`;
    super(`Cannot start ${program}: ${doing[stage]}${reason}`);
    const missing = stage === "exec" && errno !== Errno.EACCES;
    this.mend = missing ? undefined : mends[stage];
  }
}
