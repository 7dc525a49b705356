/** Our terminal in raw mode, until this is disposed of or the process ends by itself. */
export class RawTerminal implements Disposable {
  readonly #restore = () => Deno.stdin.setRaw(false);

  constructor() {
    Deno.stdin.setRaw(true);
    addEventListener("unload", this.#restore);
  }

  [Symbol.dispose](): void {
    removeEventListener("unload", this.#restore);
    this.#restore();
  }
}
