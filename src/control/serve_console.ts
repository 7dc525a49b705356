import type { ConsoleHub } from "../machine/mod.ts";
import type { SocketStream } from "../os/mod.ts";

/** For how long a viewer may not read, in milliseconds; its queue is full long before when the guest is busy. */
const READING = 30_000;

const WATCH_ONLY = new TextEncoder().encode(
  "[spectrum: somebody else writes to this console; you can watch]\r\n",
);

/**
 * A console on a connection: the raw bytes that the guest prints, what was printed last first. Who comes while nobody
 * writes may write; the others are told that they cannot.
 */
export async function serveConsole(stream: SocketStream, hub: ConsoleHub): Promise<void> {
  using input = hub.takeInput();
  if (input === undefined && !await stream.write(WATCH_ONLY, READING)) return;
  using _viewer = hub.attach({
    write: async (bytes) => {
      if (!await stream.write(bytes, READING)) throw new Error("the viewer does not read");
    },
    closed: () => stream[Symbol.dispose](),
  });
  for (;;) {
    const bytes = await stream.read();
    if (typeof bytes !== "object") break;
    // A guest that does not listen must not keep the place of somebody who has left.
    await Promise.race([input?.input(bytes), stream.gone]);
  }
  // `echo ls | nc -U …` has no more to say and still wants to see.
  input?.[Symbol.dispose]();
  await stream.gone;
}
