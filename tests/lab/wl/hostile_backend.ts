/**
 * In a device VM: serves a disk of another VM, and lies. Arguments: the context, and a seed. Each connection is another lie.
 */

import {
  EventFd,
  type Fd,
  OsError,
  type Owned,
  receiveVfds,
  sendVfds,
  useLibrary,
  VirtioWl,
  Window,
} from "../../../src/os/mod.ts";
import { virtioWlTransport } from "../../../src/msg/mod.ts";
import { DeviceLoop } from "../../../src/vhost/mod.ts";
import {
  BlkConfig,
  DescriptorChain,
  DeviceId,
  type VirtioDevice,
  type Virtqueue,
} from "../../../src/virtio/mod.ts";

const [context, seed] = Deno.args;
/** Requests that are answered well, so that the guest boots. */
const GOOD = 300;
/** Header of a vhost-user message: request, flags, size. */
const HEADER = 12;
const REPLY_FLAGS = 5;

/** Mulberry32. */
function generator(state: number): (below: number) => number {
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

const random = generator(Number(seed));

/** A disk that says it has read what was wanted, and then that it did what nobody asked for. */
class LyingDisk implements VirtioDevice {
  readonly id = DeviceId.Block;
  readonly features = 0n;
  readonly queueCount = 4;
  readonly config = BlkConfig.encode({ capacity: 32768, numQueues: 4 });
  /** After the driver was told of a lie, the connection ends. */
  readonly #lied = EventFd.create();
  readonly sources = [{
    fd: this.#lied.fd,
    ready: () => {
      this.#lied.drain();
      throw new Error("enough lies for now");
    },
  }];
  readonly #chain = new DescriptorChain(256);
  readonly #bytes: Uint8Array;
  #served = 0;

  constructor(window: Window) {
    this.#bytes = new Uint8Array(window.buffer);
  }

  process(queue: Virtqueue): void {
    const chain = this.#chain;
    while (queue.next(chain)) {
      const last = chain.count - 1;
      if (last >= chain.readableCount) this.#bytes[chain.offsets[last]] = 0;
      if (this.#served++ < GOOD) {
        queue.complete(chain, 1);
        continue;
      }
      for (let i = random(4); i >= 0; i--) {
        if (random(2) === 0) chain.head = random(queue.size);
        queue.complete(chain, random(2 ** 32));
      }
      this.#lied.signal();
    }
  }
}

/** Answers whatever it hears with what it likes. */
function babble(socket: Owned<Fd>): void {
  const heard = new Uint8Array(4096);
  for (let i = 0; i < 40; i++) {
    const { length, fds } = receiveVfds(socket, heard);
    for (const fd of fds) fd[Symbol.dispose]();
    if (length <= 0) return;
    const size = [0, 4, 8, 12, 100, random(2000)][random(6)];
    const reply = new Uint8Array(HEADER + size).map(() => random(256));
    const view = new DataView(reply.buffer);
    view.setUint32(0, random(3) === 0 ? random(64) : heard[0], true);
    view.setUint32(4, random(4) === 0 ? random(2 ** 32) : REPLY_FLAGS, true);
    view.setUint32(8, random(8) === 0 ? random(2 ** 32) : size, true);
    if (random(10) === 0) reply.fill(random(256));
    if (sendVfds(socket, reply, random(6) === 0 ? [socket] : []) < 0) return;
  }
}

useLibrary("monitor");
const wl = VirtioWl.open();
const window = Window.reserve();
const link = {
  transport: virtioWlTransport,
  memorySlots: 64,
  allocate: (_name: string, size: number) => wl.memory(size),
};
const loop = new DeviceLoop(new LyingDisk(window), { window, log: () => {}, link });
console.log("@@ready");
for (let lies = 0; lies < 200;) {
  try {
    using socket = wl.context(context);
    if (lies === 0) console.log("@@hostile");
    if (lies++ % 4 === 0) loop.serve(socket.move());
    else babble(socket);
  } catch (error) {
    if (!(error instanceof OsError)) console.log(`@@${String(error)}`);
    // Nobody is there just now.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}
console.log("@@had its say");
