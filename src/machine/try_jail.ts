import { Reactor, socketPair } from "../os/mod.ts";
import { Starter } from "../sandbox/mod.ts";
import { startWorker } from "./worker.ts";

/** Whether workers can be jailed here: starts one, in full. Returns the reason when they cannot. */
export async function tryJail(): Promise<string | undefined> {
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  const [ours, theirs] = socketPair();
  using _ours = ours;
  using socket = theirs;
  try {
    const frontend = { how: "connected", socket: socket.borrow() } as const;
    await (await startWorker(starter, { kind: "rng" }, frontend)).ready;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await starter.close();
  }
}
