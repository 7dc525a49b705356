import { frontendMessageName } from "./protocol.ts";

/** A backend did not answer within the time it has. It may hang or be stopped; it did not break the protocol. */
export class BackendAway extends Error {
  override readonly name = "BackendAway";

  /**
   * @param backend name of the device
   * @param request the message that it left unanswered
   * @param waitedMs how long it had
   */
  constructor(readonly backend: string, readonly request: number, readonly waitedMs: number) {
    super(
      `The backend of ${backend} did not answer ${
        frontendMessageName(request)
      } within ${waitedMs} ms`,
    );
  }
}

/** The connection to a backend ended: it closed it, or its process ended. */
export class BackendDisconnected extends Error {
  override readonly name = "BackendDisconnected";

  /**
   * @param backend name of the device
   * @param request the message that it left unanswered, if one was
   * @param midMessage it ended within a message
   */
  constructor(
    readonly backend: string,
    readonly request: number | undefined,
    readonly midMessage: boolean,
  ) {
    const when = request === undefined
      ? ""
      : ` instead of answering ${frontendMessageName(request)}`;
    super(
      `The backend of ${backend} ended the connection${when}${
        midMessage ? ", within a message" : ""
      }`,
    );
  }
}

/** A backend answered, as the protocol allows, that it cannot do what it was asked. The connection goes on. */
export class BackendRefused extends Error {
  override readonly name = "BackendRefused";

  /**
   * @param backend name of the device
   * @param request what was asked
   * @param detail why it is known to have failed
   */
  constructor(readonly backend: string, readonly request: number, readonly detail: string) {
    super(`The backend of ${backend} refused ${frontendMessageName(request)}: ${detail}`);
  }
}
