/** Views of the one SharedArrayBuffer that holds all device state of a machine. Every thread makes its own. */
export class SharedState {
  readonly view: DataView<SharedArrayBuffer>;
  /** The same memory for `Atomics`; index is offset / 4. */
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly bytes: Uint8Array<SharedArrayBuffer>;

  /** `buffer`'s length must be a multiple of four. */
  constructor(readonly buffer: SharedArrayBuffer) {
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }
}
