import type { NetConfig } from "../../config/mod.ts";
import type { Fd } from "../../os/mod.ts";
import type { Starter } from "../../sandbox/mod.ts";
import { WorkerBackend } from "../backend.ts";
import type { Log } from "../log.ts";
import { ratesOf } from "../rates_of.ts";
import type { NetInfo } from "../vm_control.ts";

/** Which tap, and what its guest is told. */
export interface TapOptions extends Pick<NetConfig, "mtu" | "limit"> {
  readonly tap: string;
  readonly mac: string;
  /** A queue for each pair of the device. */
  readonly queues: readonly Fd[];
  readonly log?: Log;
}

/** A worker that moves packets between a guest and an interface of the host. */
export class TapBackend extends WorkerBackend {
  readonly net: NetInfo;

  constructor(starter: Starter, { tap, mac, mtu = mtuOf(tap), queues, limit, log }: TapOptions) {
    const end = { kind: "tap", queues: queues.map((queue) => queue.borrow()) } as const;
    const pairs = queues.length;
    super(starter, { kind: "net", mac, mtu, pairs, limit: ratesOf(limit), end }, { log });
    this.net = { out: "tap", link: "up", mac, tap, publish: [] };
  }
}

/** The largest packet of an interface of this host, in bytes; undefined when it cannot be told. */
function mtuOf(name: string): number | undefined {
  try {
    return Number(Deno.readTextFileSync(`/sys/class/net/${name}/mtu`));
  } catch {
    return undefined;
  }
}
