// sender.ts COUNT SEED: sends COUNT messages over the socket at 3, and prints what the receiver says of them.
import { Fd } from "../../../src/os/mod.ts";
import { BlockingPeer, unixTransport } from "../../../src/msg/mod.ts";
import { makeFiles, openFiles, receiverMessages, senderMessages, Workload } from "./workload.ts";

/** So many messages are under way at most: descriptors in flight are counted, too. */
const WINDOW = 64;

const [count, seed] = Deno.args.map(Number);
using peer = new BlockingPeer(unixTransport(Fd.inherited(3)), {
  calls: receiverMessages,
  serves: senderMessages,
  handlers: {},
});
{
  using stack = new DisposableStack();
  const files = makeFiles().map((file) => stack.use(file));
  const workload = new Workload(seed);
  for (let sequence = 0; sequence < count; sequence++) {
    const { label, data, files: chosen, nested } = workload.next();
    peer.note("item", {
      ...{ sequence, label, data },
      // Some are lent, some given away.
      files: chosen.map((index, i) => i % 2 === 0 ? files[index].borrow() : files[index].dup()),
      nested: nested === undefined ? undefined : { file: files[nested].dup(), list: [sequence] },
    });
    if (sequence % WINDOW === WINDOW - 1) peer.request("sync", null);
  }
  using answer = peer.request("finish", null);
  stack.dispose();
  console.log(JSON.stringify({ ...answer.body, leakedBySender: openFiles() }));
}
