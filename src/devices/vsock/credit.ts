/**
 * Credit in one direction of the other (virtio 1.2 §5.10.6.3): how much the guest may still send, and how much of it we
 * have passed on; how much we may send, as far as the guest has said. All counts are modulo 2^32.
 */

/** More is never on its way to a guest, whatever buffer it announces: so a count that runs ahead is known from one that wraps. */
const MOST_UNREAD = 2 ** 30;

/** What the guest takes from us. */
export class SendCredit {
  #sent = 0;
  #read = 0;
  #room = 0;

  /** Bytes that the guest has room for. */
  get left(): number {
    return Math.max(0, this.#room - this.#unread);
  }

  get #unread(): number {
    return (this.#sent - this.#read) >>> 0;
  }

  sent(bytes: number): void {
    this.#sent = (this.#sent + bytes) >>> 0;
  }

  /**
   * What the header of a packet says. Two threads of a guest may say it in the wrong order: what is older counts no
   * more.
   *
   * @returns false when the guest claims to have read what was not sent
   */
  said(bufferSize: number, forwarded: number): boolean {
    const unread = (this.#sent - forwarded) >>> 0;
    if (unread > MOST_UNREAD) return false;
    if (unread < this.#unread) this.#read = forwarded;
    this.#room = Math.min(bufferSize, MOST_UNREAD);
    return true;
  }
}

/** What we take from the guest. */
export class ReceiveCredit {
  #received = 0;
  #forwarded = 0;
  #announced = 0;

  /** @param room bytes of buffer that the guest is promised */
  constructor(readonly room: number) {}

  /** Bytes that were passed on since the beginning, as packets say it. */
  get forwarded(): number {
    return this.#forwarded;
  }

  /** Takes so many bytes from the guest, if it may send them. */
  receive(bytes: number): boolean {
    if (((this.#received - this.#forwarded) >>> 0) + bytes > this.room) return false;
    this.#received = (this.#received + bytes) >>> 0;
    return true;
  }

  forward(bytes: number): void {
    this.#forwarded = (this.#forwarded + bytes) >>> 0;
  }

  /** The guest hears of {@link forwarded} now. */
  announced(): void {
    this.#announced = this.#forwarded;
  }

  /** So much of the room has become free that the guest is to hear of it at once. It may wait for just that. */
  get isNews(): boolean {
    return ((this.#forwarded - this.#announced) >>> 0) >= this.room / 4;
  }
}
