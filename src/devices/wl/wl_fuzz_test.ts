// A hostile guest and a hostile host against the device.
import assert from "node:assert/strict";
import { type Dice, fuzzTest, openNumbers } from "../../../tests/fuzz/mod.ts";
import {
  addSeals,
  EventFd,
  type Fd,
  memfd,
  MessageFlags,
  openFile,
  type Owned,
  pipe,
  receiveMessage,
  Seal,
  sendMessage,
  setNonBlocking,
  socketPair,
  SocketType,
  write,
} from "../../os/mod.ts";
import { WL_FIRST_CREDIT, WL_HOST_ID, WlCommand, WlFeature, WlResponse } from "../../virtio/mod.ts";
import { tidy } from "../fuzzing.ts";
import { credit, doorbell, FakeDoorbells, Guest, newNamed, newVfd, note, send } from "./testing.ts";

const KINDS = Object.values(WlCommand);
const NUMBERS = [0, 1, 4095, 4096, 4097, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, 0xffff_ffff];
const NAMES = ["test", "wayland", "nobody", "other", "", "../../run/socket", "\xff".repeat(16)];

/** What a guest knows, to be found out when the device says something that cannot be. */
class Match implements Disposable {
  readonly guest: Guest;
  /** Credit left, by the ids of VFDs that the guest may know. */
  readonly #credit = new Map<number, number>();
  readonly #hungUp = new Set<number>();
  readonly #announced = new Set<number>();
  readonly #doorbells = new FakeDoorbells();
  readonly #hasCredit: boolean;
  readonly #limits: { vfds: number; contexts: number };

  constructor(private readonly dice: Dice) {
    const features = dice.features(WlFeature);
    this.#hasCredit = (features & WlFeature.Credit) !== 0n;
    this.#limits = { vfds: 1 + dice.below(40), contexts: 1 + dice.below(10) };
    this.guest = new Guest({
      ...this.#limits,
      features,
      memory: dice.of([2 ** 16, 2 ** 20, 2 ** 33]),
      regionSize: dice.of([2 ** 22, 2 ** 30, 2 ** 34]),
      buffers: dice.below(20),
      unattached: dice.once(8),
      doorbells: this.#doorbells,
    });
  }

  /** Returns how many steps there were until the game was over. */
  run(): number {
    const { dice, guest } = this;
    const before = openNumbers();
    let step = 0;
    for (; !dice.isOver; step++) {
      const turn = dice.below(24);
      guest.mapper.refuses = dice.once(8);
      this.#doorbells.outcome = dice.of(["bound", "bound", "refused", "unknown"]);
      if (turn < 15) this.#command();
      else if (turn < 20) this.#host();
      else if (turn < 23) this.#listen();
      else this.#upset();
      // Both ends of a guest's pipe, and ends of contexts here.
      const most = before + 2 * this.#limits.vfds + guest.hosts.length;
      if (step % 16 === 0) assert.ok(openNumbers() <= most);
    }
    guest.pause();
    assert.equal(guest.unanswered, 0);
    guest.mapper.mapped.clear();
    this.#doorbells.bound.clear();
    guest.device.reset();
    for (const host of guest.hosts.splice(0)) host[Symbol.dispose]();
    assert.equal(openNumbers(), before);
    return step;
  }

  [Symbol.dispose](): void {
    this.guest[Symbol.dispose]();
  }

  /** An id that may be somebody's, or nobody's. */
  #id(): number {
    const { dice } = this;
    const known = [...this.#credit.keys()];
    if (known.length > 0 && !dice.once(6)) return dice.of(known);
    return dice.of([0, 1 + dice.below(40), WL_HOST_ID + dice.below(60), 2 ** 31, 2 ** 32 - 1]);
  }

  #command(): void {
    const { dice, guest } = this;
    if (guest.unanswered > 50) return;
    const type = dice.once(12) ? dice.below(0x1200) : dice.of(KINDS);
    const isNew = [
      WlCommand.New,
      WlCommand.NewContext,
      WlCommand.NewNamedContext,
      WlCommand.NewPipe,
      WlCommand.NewEvent,
    ].some((each) => each === type);
    // A number that is used again: what was said about the last one is not about this one.
    if (isNew) this.#listen();
    const id = isNew && !dice.once(8) ? 1 + dice.below(40) : this.#id();
    const bytes = this.#bytes(type, id);
    const isMutated = dice.once(6);
    if (isMutated) {
      for (let i = 1 + dice.below(4); i > 0; i--) {
        bytes[dice.below(Math.min(bytes.length, 64))] = dice.below(256);
      }
    }
    const cut = dice.once(12) ? bytes.subarray(0, 1 + dice.below(bytes.length)) : bytes;
    const actual = new DataView(
      new Uint8Array([...cut.subarray(0, 16), ...new Uint8Array(16)]).buffer,
    );
    const about = actual.getUint32(4 * 2, true);
    const slot = guest.command(cut, dice.once(12) ? dice.below(64) : 64);
    const result = guest.late(slot);
    guest.answers.delete(slot);
    if (result === WlResponse.New) this.#learn(about);
    if (actual.getUint32(0, true) === WlCommand.Credit && result === WlResponse.Ok) {
      // It may have guessed the number of something that it has not heard of yet.
      const left = this.#credit.get(about) ?? WL_FIRST_CREDIT;
      this.#credit.set(about, left + actual.getUint32(12, true));
    }
    if (actual.getUint32(0, true) === WlCommand.Close && result === WlResponse.Ok) {
      this.#forget(about);
    }
  }

  #bytes(type: number, id: number): Uint8Array {
    const { dice } = this;
    switch (type) {
      case WlCommand.Send: {
        const ids = Array.from({ length: dice.once(2) ? 0 : dice.below(30) }, () => this.#id());
        const length = dice.of([
          0,
          1,
          8,
          dice.below(200),
          dice.below(16_000),
          this.guest.canBeLong ? 300_000 : 9,
        ]);
        return send(id, new Uint8Array(length).fill(dice.below(256)), ids);
      }
      case WlCommand.Credit:
        return credit(id, dice.of([...NUMBERS, 65_536]));
      case WlCommand.NewNamedContext:
        return newNamed(id, dice.of(NAMES));
      case WlCommand.Doorbell:
        return doorbell(id, dice.of([0, 1, 2, 3, 3, 4, 2 ** 31]), dice.of([1, 1, 2, 2, 3, 0, 6]));
      case WlCommand.Close:
      case WlCommand.ArmEvent:
        return note(type, id);
      default:
        return newVfd(type, id, {
          flags: dice.below(8),
          size: dice.of(NUMBERS),
          sizeHigh: dice.once(3) ? dice.of(NUMBERS) : 0,
        });
    }
  }

  #learn(id: number): void {
    if (!this.#credit.has(id)) this.#credit.set(id, WL_FIRST_CREDIT);
  }

  #forget(id: number): void {
    this.#credit.delete(id);
    this.#hungUp.delete(id);
  }

  #host(): void {
    const { dice, guest } = this;
    if (guest.hosts.length === 0) return;
    const i = dice.below(guest.hosts.length);
    const host = guest.hosts[i];
    setNonBlocking(host, true);
    const turn = dice.below(10);
    if (turn === 0) {
      host[Symbol.dispose]();
      guest.hosts.splice(i, 1);
    } else if (turn < 4) {
      const fds = Array.from({ length: dice.of([1, 1, 2, 28, 29]) }, () => this.#descriptor());
      sendMessage(host, new Uint8Array(1 + dice.below(6000)), fds);
      for (const fd of fds) fd[Symbol.dispose]();
    } else if (turn < 7) {
      write(host, dice.noise(1 + dice.below(5000)));
    } else {
      const flags = MessageFlags.DontWait;
      const { fds } = receiveMessage(host, new Uint8Array(dice.below(300_000) + 1), 253, flags);
      for (const fd of fds) {
        if (dice.once(2)) setNonBlocking(fd, dice.once(2));
        fd[Symbol.dispose]();
      }
    }
  }

  #descriptor(): Owned<Fd> {
    const { dice } = this;
    const either = ([a, b]: [Owned<Fd>, Owned<Fd>]) => {
      const [kept, other] = dice.once(2) ? [a, b] : [b, a];
      other.close();
      setNonBlocking(kept, dice.once(2));
      return kept;
    };
    switch (dice.below(dice.once(4) ? 8 : 4)) {
      case 0:
        return either(pipe());
      case 1:
        return either(socketPair());
      case 2: {
        using event = EventFd.create();
        if (dice.once(2)) event.signal();
        return event.fd.dup();
      }
      case 3: {
        const memory = memfd("x", 1 + dice.below(2 ** 20), { seal: dice.once(2) });
        if (dice.once(3)) addSealsIfPossible(memory, dice.below(32));
        return memory;
      }
      case 4:
        return openFile("/dev/null", { write: true });
      case 5:
        return either(socketPair(SocketType.SeqPacket));
      case 6:
        return memfd("x", dice.of([0, 2 ** 33]), { seal: false });
      default:
        return openFile("/");
    }
  }

  /** Takes messages, and gives buffers for new ones, or not. */
  #listen(): void {
    const { dice, guest } = this;
    for (const { type, id, ids, data } of guest.messages(dice.once(2))) {
      // Of a buffer that is too small nothing is made.
      if (type === 0) continue;
      if (type === WlCommand.New) {
        assert.ok(id > WL_HOST_ID && id < 2 * WL_HOST_ID);
        assert.ok(!this.#announced.has(id));
        this.#announced.add(id);
        this.#learn(id);
      } else if (type === WlCommand.HangUp) {
        assert.ok(!this.#hungUp.has(id));
        if (this.#credit.has(id)) this.#hungUp.add(id);
      } else {
        assert.equal(type, WlCommand.Receive);
        assert.ok(!this.#hungUp.has(id));
        assert.ok(data.length > 0 && ids.length <= 28);
        const left = this.#credit.get(id);
        if (left === undefined || !this.#hasCredit) continue;
        assert.ok(data.length <= left);
        this.#credit.set(id, left - data.length);
      }
    }
    const more = Math.min(guest.spareBuffers, dice.below(30));
    guest.offer(more, dice.once(10) ? dice.of([1, 16, 100, 256, 300]) : 4096);
  }

  #upset(): void {
    const { dice, guest } = this;
    // What was said before is taken first: afterwards nobody could.
    this.#listen();
    if (dice.once(4)) {
      guest.reset();
      this.#doorbells.bound.clear();
      this.#credit.clear();
      this.#hungUp.clear();
    } else {
      guest.pause();
    }
    assert.equal(guest.unanswered, 0);
    guest.resume(0);
  }
}

function addSealsIfPossible(fd: Fd, mask: number): void {
  try {
    addSeals(fd, mask & ~Seal.Grow);
  } catch {
    // It is sealed.
  }
}

function playMatch(dice: Dice): number {
  using match = new Match(dice);
  return match.run();
}

fuzzTest({
  name: "wl",
  promise: "whatever guest and host do, the device goes on, and leaves nothing behind",
  play: tidy(playMatch),
  turns: 20_000,
  tapeLength: 2 ** 13,
});
