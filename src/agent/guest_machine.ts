import { AgentProtocolError } from "./agent_error.ts";
import { type AgentConnection, concat, u32, viewOf } from "./connection.ts";
import { FrameType } from "./protocol.ts";

/** Asks a guest to power off in its own orderly way; resolves when it has heard. @throws {AgentError} */
export async function powerOffGuest(connection: AgentConnection): Promise<void> {
  await ask(connection, FrameType.PowerOff);
}

/** Sets a guest's wall clock, when it is wrong by more than a moment. @throws {AgentError} */
export async function setGuestClock(connection: AgentConnection): Promise<void> {
  const now = Date.now();
  const seconds = new Uint8Array(8);
  viewOf(seconds).setBigUint64(0, BigInt(Math.floor(now / 1000)), true);
  await ask(connection, FrameType.SetClock, concat(seconds, u32((now % 1000) * 1e6)));
}

async function ask(connection: AgentConnection, type: number, payload?: Uint8Array): Promise<void> {
  using opened = connection;
  await opened.send(type, payload);
  const answer = await opened.next();
  if (answer.type !== FrameType.Done) {
    throw new AgentProtocolError(`it answered with a frame of type ${answer.type}`);
  }
}
