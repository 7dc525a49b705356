import type { Window } from "../../os/mod.ts";
import { readU64 } from "../../codec/mod.ts";
import { DescriptorChain, MAC_SIZE, NetAck, NetControl, type Virtqueue } from "../../virtio/mod.ts";
import { readHead } from "../chain_bytes.ts";

/** Of a command, with its class; the longest that has an effect is 10 bytes long. */
const COMMAND = 16;
const HEAD = 2;
const SEGMENTS = 64;

/** What a driver can ask for. False refuses. */
export interface NetControls {
  setMac(mac: Uint8Array): boolean;
  setPairs(pairs: number): boolean;
  setOffloads(offloads: bigint): boolean;
}

/** The control queue (virtio 1.2 §5.1.6.5). */
export class NetControlQueue {
  readonly #chain = new DescriptorChain(SEGMENTS);
  readonly #command = new Uint8Array(COMMAND);
  readonly #view = new DataView(this.#command.buffer);

  constructor(private readonly window: Window, private readonly controls: NetControls) {}

  process(queue: Virtqueue): void {
    const chain = this.#chain;
    while (queue.next(chain)) {
      if (chain.writableBytes === 0 || chain.readableBytes < HEAD) {
        queue.break("request");
        return;
      }
      this.#command.fill(0);
      readHead(this.window.view, chain, this.#view, Math.min(chain.readableBytes, COMMAND));
      const ack = this.#perform(chain.readableBytes - HEAD) ? NetAck.Ok : NetAck.Error;
      this.window.view.setUint8(chain.offsets[chain.readableCount], ack);
      queue.complete(chain, 1);
    }
  }

  /** @param length bytes of the command's data */
  #perform(length: number): boolean {
    const { Rx, Mac, Mq, GuestOffloads } = NetControl;
    const [group, command] = this.#command;
    switch (group) {
      case Rx.class:
        // All that comes is given to the driver, which is what any of these allows.
        return command <= Rx.AllMulti && length === 1;
      case Mac.class:
        if (command === Mac.TableSet) return length >= 8;
        return command === Mac.AddrSet && length === MAC_SIZE &&
          this.controls.setMac(this.#command.slice(HEAD, HEAD + MAC_SIZE));
      case Mq.class:
        return command === Mq.PairsSet && length === 2 &&
          this.controls.setPairs(this.#view.getUint16(HEAD, true));
      case GuestOffloads.class:
        return command === GuestOffloads.Set && length === 8 &&
          this.controls.setOffloads(BigInt(readU64(this.#view, HEAD)));
      default:
        return false;
    }
  }
}
