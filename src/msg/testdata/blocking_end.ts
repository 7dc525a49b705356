// A thread with a blocking end of a message socket: serves by asking back.
import * as v from "valibot";
import { Fd, type SharedFd } from "../../os/mod.ts";
import { BlockingPeer, defineMessages, unixTransport } from "../mod.ts";

const back = defineMessages({
  double: { doc: "Doubles.", body: v.number(), answer: v.number() },
});
const front = defineMessages({
  quadruple: { doc: "Doubles twice.", body: v.number(), answer: v.number() },
});

/** A module that is no worker has no such type. */
const scope = globalThis as unknown as Worker;

scope.onmessage = ({ data }: MessageEvent<SharedFd>) => {
  const socket = Fd.borrow(data).dup();
  using peer: BlockingPeer<typeof back, typeof front> = new BlockingPeer(unixTransport(socket), {
    calls: back,
    serves: front,
    handlers: {
      quadruple: (n): number => {
        const twice = peer.request("double", n).body;
        return peer.request("double", twice).body;
      },
    },
  });
  while (peer.wait());
  scope.postMessage(String(peer.ended));
};
