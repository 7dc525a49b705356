// A hostile frontend.
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { MEMORY, running, USER } from "./backend_scene.ts";
import {
  FrontendMessage,
  HeaderFlags,
  MemoryTable,
  memoryTableSize,
  U64,
  VringAddr,
  VringState,
} from "./mod.ts";

const REQUESTS = Object.values(FrontendMessage);
const LENGTHS = [0, 8, 16, 20, 24, 40];

function payload(dice: Dice): Uint8Array {
  const index = dice.below(4);
  switch (dice.below(6)) {
    case 0:
      return dice.bytes(dice.below(60));
    case 1:
      return new Uint8Array(dice.of(LENGTHS));
    case 2:
      return VringState.encode({ index, num: dice.below(300) });
    case 3:
      return VringAddr.encode({
        index,
        descriptor: USER + 16 * dice.below(MEMORY / 16),
        available: USER + 2 * dice.below(MEMORY / 2),
        used: USER + 4 * dice.below(MEMORY / 4),
      });
    case 4: {
      const count = dice.below(4);
      const regions = Array.from({ length: count }, () => ({
        guestAddress: 4096 * dice.below(256),
        size: 4096 * dice.below(257),
        userAddress: USER + 4096 * dice.below(256),
        mmapOffset: 4096 * dice.below(256),
      }));
      return MemoryTable.encode({ count, regions }).subarray(0, memoryTableSize(count));
    }
    default:
      return U64.encode({ value: BigInt(dice.below(0x200)) });
  }
}

/** One connection whose queue runs until the frontend says something else. How many messages it took. */
function converse(dice: Dice): number {
  const { scene } = running();
  using _scene = scene;
  const offered = [scene.kick.fd, scene.memory.regions[0].fd, scene.call.fd];
  let messages = 0;
  while (scene.isOpen && !dice.isOver) {
    const request = dice.once(20) ? dice.below(2 ** 32) : dice.of(REQUESTS);
    const body = payload(dice);
    const fds = Array.from({ length: dice.below(4) }, () => dice.of(offered));
    scene.frontend.send(request, body, fds, dice.below(2) * HeaderFlags.NeedReply);
    messages++;
    for (let reply = scene.frontend.reply(); reply; reply = scene.frontend.reply()) {
      for (const fd of reply.fds) fd[Symbol.dispose]();
    }
    if (scene.isOpen) scene.work();
  }
  return messages;
}

fuzzTest({
  name: "backend",
  promise: "no bytes of a frontend make it throw, hang or keep descriptors",
  play(dice) {
    let messages = 0;
    while (!dice.isOver) messages += converse(dice);
    return messages;
  },
  turns: 2000,
  tapeLength: 2 ** 10,
});
