import assert from "node:assert/strict";
import { EventFd, MessageFlags, receiveMessage, sendMessage } from "../../os/mod.ts";
import { WlCommand, WlFeature, WlFlag, WlResponse } from "../../virtio/mod.ts";
import {
  ALL_FEATURES,
  doorbell,
  FakeDoorbells,
  Guest,
  type GuestOptions,
  newVfd,
  note,
} from "./testing.ts";

const { Read, Write } = WlFlag;

function withDoorbells(options: GuestOptions = {}) {
  const doorbells = new FakeDoorbells();
  const features = ALL_FEATURES | WlFeature.Doorbells;
  return { doorbells, guest: new Guest({ features, doorbells, ...options }) };
}

/** An event of the host's, which the guest has. */
function hostEvent(guest: Guest): { id: number; event: EventFd } {
  guest.context();
  const event = EventFd.create();
  sendMessage(guest.host, new Uint8Array(1), [event.fd], MessageFlags.DontWait);
  const announced = guest.messages().find(({ type }) => type === WlCommand.New);
  assert.ok(announced);
  return { id: announced.id, event };
}

const eight = (value: number) => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);

Deno.test("an event is bound for reading by its guest, and its counter left alone then", () => {
  const { guest, doorbells } = withDoorbells();
  using _guest = guest;
  const { id, event } = hostEvent(guest);
  using _event = event;
  assert.equal(guest.result(note(WlCommand.ArmEvent, id)), WlResponse.Ok);
  event.signal();
  assert.deepEqual(guest.messages().map(({ data }) => data[0]), [1]);
  // It comes before the other side looks at what there is.
  doorbells.look = () => event.signal();
  assert.equal(guest.result(doorbell(id, 2, Read)), WlResponse.Ok);
  assert.deepEqual([...doorbells.bound], [[2, "read"]]);
  event.signal();
  assert.deepEqual(guest.messages(), []);
  assert.equal(guest.result(note(WlCommand.ArmEvent, id)), WlResponse.Ok);
  assert.deepEqual(guest.messages(), []);
  assert.equal(event.drain(), 2);
  assert.equal(guest.close(id), WlResponse.Ok);
  assert.deepEqual(doorbells.freed, [2]);
});

Deno.test("when it cannot be bound it goes on as before, and nothing that came meanwhile is lost", () => {
  const { guest, doorbells } = withDoorbells();
  using _guest = guest;
  const { id, event } = hostEvent(guest);
  using _event = event;
  guest.result(note(WlCommand.ArmEvent, id));
  doorbells.outcome = "refused";
  doorbells.look = () => event.signal();
  assert.equal(guest.result(doorbell(id, 0, Read)), WlResponse.Error);
  assert.deepEqual(guest.messages().map(({ data }) => data[0]), [1]);
  event.signal();
  assert.deepEqual(guest.messages().map(({ data }) => data[0]), [1]);
  doorbells.outcome = "bound";
  assert.equal(guest.result(doorbell(id, 0, Read)), WlResponse.Ok);
});

Deno.test("an event that the guest writes is bound for that, and SEND works all the same", () => {
  const { guest, doorbells } = withDoorbells();
  using _guest = guest;
  const id = guest.event();
  assert.equal(guest.result(doorbell(id, 0, Write)), WlResponse.Ok);
  assert.equal(guest.result(doorbell(id, 1, Read)), WlResponse.Ok);
  assert.deepEqual([...doorbells.bound], [[0, "write"], [1, "read"]]);
  guest.send(guest.context(), "x", [id]);
  const { fds } = receiveMessage(guest.host, new Uint8Array(8), 1, MessageFlags.DontWait);
  using event = EventFd.adopt(fds[0]);
  assert.equal(guest.send(id, eight(5)), WlResponse.Ok);
  assert.equal(event.drain(), 5);
  assert.equal(guest.close(id), WlResponse.Ok);
  assert.deepEqual(doorbells.freed.sort(), [0, 1]);
  assert.equal(doorbells.bound.size, 0);
});

Deno.test("slots that are taken or do not exist, and what is no event, are refused without asking", () => {
  const { guest, doorbells } = withDoorbells();
  using _guest = guest;
  const event = guest.event(), other = guest.event(), context = guest.context();
  assert.equal(guest.result(doorbell(event, 3, Read)), WlResponse.Ok);
  for (
    const [id, slot, flags, response] of [
      [other, 3, Read, WlResponse.Error],
      [other, 3, Write, WlResponse.Error],
      [event, 2, Read, WlResponse.Error],
      [other, 4, Read, WlResponse.Error],
      [other, 0xffff_ffff, Write, WlResponse.Error],
      [other, 0, 0, WlResponse.InvalidFlags],
      [other, 0, Read | Write, WlResponse.InvalidFlags],
      [other, 0, Read | WlFlag.Event, WlResponse.InvalidFlags],
      [context, 0, Read, WlResponse.InvalidType],
      [0x777, 0, Read, WlResponse.InvalidId],
    ]
  ) {
    assert.equal(guest.result(doorbell(id, slot, flags)), response, `${id} ${slot} ${flags}`);
  }
  const short = doorbell(other, 0, Read).subarray(0, 19);
  assert.equal(guest.result(short), WlResponse.InvalidCommand);
  assert.deepEqual(doorbells.asked, [3]);
  guest.close(event);
  assert.equal(guest.result(doorbell(other, 3, Write)), WlResponse.Ok);
});

Deno.test("a reset frees all slots without asking for each", () => {
  const { guest, doorbells } = withDoorbells();
  using _guest = guest;
  for (const slot of [0, 1, 2, 3]) {
    assert.equal(guest.result(doorbell(guest.event(), slot, Read)), WlResponse.Ok);
  }
  guest.reset();
  assert.deepEqual(doorbells.freed, []);
  doorbells.bound.clear();
  guest.device.start(ALL_FEATURES | WlFeature.Doorbells);
  guest.resume();
  assert.equal(guest.result(newVfd(WlCommand.NewEvent, 99)), WlResponse.New);
  assert.equal(guest.result(doorbell(99, 0, Read)), WlResponse.Ok);
});

Deno.test("a monitor that does not answer costs the event, not the device", () => {
  const { guest, doorbells } = withDoorbells();
  using _guest = guest;
  doorbells.outcome = "unknown";
  const read = guest.event(), write = guest.event();
  assert.equal(guest.result(doorbell(write, 0, Write)), WlResponse.Error);
  assert.equal(guest.result(doorbell(read, 1, Read)), WlResponse.Error);
  assert.deepEqual(doorbells.freed, [0, 1]);
  assert.equal(guest.send(write, eight(1)), WlResponse.Ok);
  assert.deepEqual(guest.messages().map(({ type, id }) => [type, id]), [[WlCommand.HangUp, read]]);
  assert.equal(guest.result(doorbell(read, 1, Read)), WlResponse.Error);
  assert.equal(guest.close(read), WlResponse.Ok);
  assert.equal(guest.close(write), WlResponse.Ok);
  assert.deepEqual(doorbells.asked, [0, 1]);
});

Deno.test("without the function, or a driver that knows it, there is no such command", () => {
  using plain = new Guest();
  assert.equal(plain.device.features & WlFeature.Doorbells, 0n);
  assert.equal(plain.result(doorbell(plain.event(), 0, Read)), WlResponse.InvalidCommand);
  const { guest, doorbells } = withDoorbells({ features: ALL_FEATURES });
  using _guest = guest;
  assert.notEqual(guest.device.features & WlFeature.Doorbells, 0n);
  assert.equal(guest.result(doorbell(guest.event(), 0, Read)), WlResponse.InvalidCommand);
  assert.deepEqual(doorbells.asked, []);
});
