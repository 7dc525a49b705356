/** For tests: commands of a driver of Virtio Wayland, and what its device says. */

import {
  WlCommand,
  WlCredit,
  WlDoorbell,
  WlNew,
  WlNewNamed,
  WlTransfer,
  WlVfd,
} from "../../virtio/mod.ts";

/** A message of the device. */
export interface Message {
  readonly type: number;
  readonly id: number;
  /** Of RECV. */
  readonly ids: number[];
  readonly data: Uint8Array;
  /** Of NEW. */
  readonly flags: number;
  readonly page: number;
  readonly size: number;
  readonly sizeHigh: number;
}

/** CLOSE, EVENT_ARM. */
export function note(type: number, id: number): Uint8Array {
  return WlVfd.encode({ type, id });
}

export function credit(id: number, bytes: number): Uint8Array {
  return WlCredit.encode({ type: WlCommand.Credit, id, bytes });
}

export function doorbell(id: number, slot: number, flags: number): Uint8Array {
  return WlDoorbell.encode({ type: WlCommand.Doorbell, id, slot, flags });
}

export function newVfd(
  type: number,
  id: number,
  { flags = 0, size = 0, sizeHigh = 0 } = {},
): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set(WlNew.encode({ type, id, flags, size, sizeHigh }));
  return bytes;
}

export function newNamed(id: number, name: string): Uint8Array {
  const bytes = new Uint8Array(64);
  const encoded = new TextEncoder().encode(name);
  bytes.set(WlNewNamed.encode({ type: WlCommand.NewNamedContext, id, name: encoded }));
  return bytes;
}

export function send(id: number, data: Uint8Array | string, ids: number[] = []): Uint8Array {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const command = new Uint8Array(WlTransfer.size + 4 * ids.length + bytes.length);
  command.set(WlTransfer.encode({ type: WlCommand.Send, id, count: ids.length }));
  const view = new DataView(command.buffer);
  ids.forEach((each, i) => view.setUint32(WlTransfer.size + 4 * i, each, true));
  command.set(bytes, WlTransfer.size + 4 * ids.length);
  return command;
}

/** 0 when there was no room for an answer. */
export function typeOf(answer: Uint8Array): number {
  return answer.length < 8 ? 0 : new DataView(answer.buffer).getUint32(0, true);
}

export function parse(bytes: Uint8Array): Message {
  const padded = new Uint8Array(Math.max(64, bytes.length));
  padded.set(bytes);
  const { type, id, flags, page, size, sizeHigh } = WlNew.decode(padded);
  const isTransfer = type === WlCommand.Receive;
  const count = isTransfer ? WlTransfer.decode(padded).count : 0;
  const view = new DataView(padded.buffer);
  const at = (i: number) => WlTransfer.size + 4 * i;
  const ids = Array.from({ length: count }, (_, i) => view.getUint32(at(i), true));
  const data = isTransfer ? bytes.slice(at(count)) : new Uint8Array(0);
  return { type, id, ids, data, flags, page, size, sizeHigh };
}
