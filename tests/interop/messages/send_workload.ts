import type { Fd, Owned } from "../../../src/os/mod.ts";
import { BlockingPeer, type Transport } from "../../../src/msg/mod.ts";
import type { NumberedFiles } from "./numbered_files.ts";
import { openMemory, receiverMessages, senderMessages, Workload } from "./workload.ts";

/** So many messages are under way at most: descriptors in flight are counted, too. */
const WINDOW = 64;

/** What the receiver says of all that came, and what is still open here that was not before. */
export type WorkloadResult = Readonly<Record<string, number | string>>;

/**
 * Sends so many messages of a seed to who receives them by {@link receiveWorkload}.
 *
 * @param make makes memory of a size
 */
export function sendWorkload(
  transport: Transport,
  files: NumberedFiles,
  count: number,
  seed: number,
  make?: (size: number) => Owned<Fd>,
): WorkloadResult {
  const openBefore = openMemory();
  using peer = new BlockingPeer(transport, {
    calls: receiverMessages,
    serves: senderMessages,
    handlers: {},
  });
  using stack = new DisposableStack();
  const made = files.make(make).map((file) => stack.use(file));
  const workload = new Workload(seed);
  for (let sequence = 0; sequence < count; sequence++) {
    const { label, data, files: chosen, nested } = workload.next();
    peer.note("item", {
      ...{ sequence, label, data },
      // Some are lent, some given away.
      files: chosen.map((index, i) => i % 2 === 0 ? made[index].borrow() : made[index].dup()),
      nested: nested === undefined ? undefined : { file: made[nested].dup(), list: [sequence] },
    });
    if (sequence % WINDOW === WINDOW - 1) peer.request("sync", null);
  }
  using answer = peer.request("finish", null);
  stack.dispose();
  return { ...answer.body, leakedBySender: openMemory() - openBefore };
}
