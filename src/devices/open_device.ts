import { openMode, type Window } from "../os/mod.ts";
import { type ReceivedBody, RequestError } from "../msg/mod.ts";
import type { VirtioDevice } from "../virtio/mod.ts";
import { BlkDevice, type BlkOptions } from "./blk/mod.ts";
import { ConsoleDevice } from "./console/mod.ts";
import { NetDevice, type NetEnd, NetEndError, StreamEnd, TapEnd } from "./net/mod.ts";
import { RngDevice } from "./rng/mod.ts";
import { VsockDevice, type VsockOptions } from "./vsock/mod.ts";
import { type DoorbellFunction, WlDevice, type WlOptions } from "./wl/mod.ts";
import type { workerMessages } from "./worker_messages.ts";

type NetEndSetUp = NonNullable<ReceivedBody<typeof workerMessages, "replaceEnd">["end"]>;
type DeviceSetUp = ReceivedBody<typeof workerMessages, "setUp">["device"];

/** What a device may use beside what it is handed. */
export interface DeviceServices {
  readonly log: (text: string) => void;
  readonly openContext: WlOptions["openContext"];
  readonly onThrottled: BlkOptions["onThrottled"];
  readonly connectPort: VsockOptions["connect"];
  readonly bindDoorbell: DoorbellFunction["bind"];
  readonly unbindDoorbell: DoorbellFunction["unbind"];
}

/**
 * The device that a set-up describes; takes the descriptors out of it.
 *
 * @throws RequestError `unusable` when they do not make one
 */
export function openDevice(
  setUp: DeviceSetUp,
  window: Window,
  { log, openContext, onThrottled, connectPort, bindDoorbell, unbindDoorbell }: DeviceServices,
): VirtioDevice {
  switch (setUp.kind) {
    case "blk": {
      const { disk, readonly, queues, serial, cache, limit } = setUp;
      if (cache === "none" && !openMode(disk).direct) {
        const text = "no page cache (cache none) needs a disk that was opened with O_DIRECT";
        throw new RequestError("unusable", text);
      }
      return new BlkDevice(window, {
        disk: disk.move(),
        readonly,
        queues,
        serial,
        limit,
        onThrottled,
        log,
      });
    }
    case "console":
      return new ConsoleDevice(window, setUp.input?.move(), setUp.output.move());
    case "net": {
      const { end, mac, mtu, pairs, limit } = setUp;
      if (end.kind === "tap" && end.queues.length !== pairs) {
        const text = `${pairs} pairs of queues need as many queues of the tap`;
        throw new RequestError("unusable", text);
      }
      const opened = openNetEnd(end, window, log);
      return new NetDevice(window, { end: opened, mac, mtu, pairs, limit, onThrottled });
    }
    case "rng":
      return new RngDevice();
    case "vsock": {
      const listener = setUp.listener.move();
      return new VsockDevice(window, { cid: setUp.cid, listener, connect: connectPort, log });
    }
    case "wl": {
      const { region: regionSize, memory, vfds, contexts, doorbells: slots } = setUp;
      const doorbells = slots === 0
        ? undefined
        : { slots, bind: bindDoorbell, unbind: unbindDoorbell };
      const limits = { regionSize, memory, vfds, contexts };
      return new WlDevice(window, { ...limits, openContext, doorbells, log });
    }
  }
}

/**
 * The end of a network device that a message describes; takes the descriptors out of it.
 *
 * @throws RequestError `unusable` when they do not make one
 */
export function openNetEnd(
  end: NetEndSetUp,
  window: Window,
  log: (text: string) => void,
): NetEnd {
  try {
    return end.kind === "tap"
      ? new TapEnd(window, end.queues.map((queue) => queue.move()))
      : new StreamEnd(window, end.socket.move(), log);
  } catch (error) {
    if (!(error instanceof NetEndError)) throw error;
    throw new RequestError("unusable", error.message);
  }
}
