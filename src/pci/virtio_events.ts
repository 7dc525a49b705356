import { EventFd, Fd, type SharedFd } from "../os/mod.ts";
import type { VirtioEvents } from "./virtio_device.ts";

/** A virtio device's events as another thread can take them (structured-clonable). */
export interface SharedVirtioEvents {
  readonly kicks: readonly SharedFd[];
  readonly calls: readonly SharedFd[];
  readonly config: SharedFd;
  readonly attention: SharedFd;
}

/** Makes the events of a device with that many queues. */
export function createVirtioEvents(queues: number): VirtioEvents {
  const each = () => Array.from({ length: queues }, () => EventFd.create());
  return {
    kicks: each(),
    calls: each(),
    config: EventFd.create(),
    attention: EventFd.create(),
  };
}

/** What another thread needs for {@linkcode borrowVirtioEvents}. */
export function shareVirtioEvents(events: VirtioEvents): SharedVirtioEvents {
  return {
    kicks: events.kicks.map((event) => event.fd.share()),
    calls: events.calls.map((event) => event.fd.share()),
    config: events.config.fd.share(),
    attention: events.attention.fd.share(),
  };
}

/** Handles on events that the control thread owns. */
export function borrowVirtioEvents(events: SharedVirtioEvents): VirtioEvents {
  const borrow = (token: SharedFd) => EventFd.borrow(Fd.borrow(token));
  return {
    kicks: events.kicks.map(borrow),
    calls: events.calls.map(borrow),
    config: borrow(events.config),
    attention: borrow(events.attention),
  };
}
