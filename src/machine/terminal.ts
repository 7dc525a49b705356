import { ConsoleEscape, ESCAPE_HELP } from "./console_escape.ts";

/** What a person at the terminal, or a program on our standard input, does. */
export interface TerminalEvents {
  /** Bytes for the guest. Resolves when more may come. */
  input(bytes: Uint8Array): Promise<void>;
  /** Ctrl-A x. */
  quit(): void;
  /** Ctrl-A p. */
  pressPowerButton(): void;
  /** Ctrl-A d. */
  detach?(): void;
  /** There is no more input. */
  ended?(): void;
}

/**
 * Our standard input as the guest's keyboard. A terminal is in raw mode meanwhile, with an escape key; input from a
 * pipe or file goes through untouched.
 */
export class Terminal implements Disposable {
  readonly #raw = Deno.stdin.isTerminal();

  constructor(events: TerminalEvents) {
    if (this.#raw) Deno.stdin.setRaw(true);
    void this.#read(events);
  }

  async #read(events: TerminalEvents): Promise<void> {
    const escape = new ConsoleEscape();
    const buffer = new Uint8Array(4096);
    let typing = Promise.resolve();
    for (;;) {
      const count = await Deno.stdin.read(buffer).catch(() => null);
      if (count === null) return events.ended?.();
      const typed = buffer.subarray(0, count);
      if (!this.#raw) {
        await events.input(typed);
        continue;
      }
      const { input, commands } = escape.feed(typed);
      // Not waited for: a guest that does not listen must not take the escape key away.
      if (input.length > 0) typing = typing.then(() => events.input(input));
      for (const command of commands) {
        if (command === "quit") events.quit();
        else if (command === "power") events.pressPowerButton();
        else if (command === "detach") events.detach?.();
        else {await Deno.stdout.write(
            new TextEncoder().encode(`\r\n${ESCAPE_HELP.join("\r\n")}\r\n`),
          );}
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#raw) Deno.stdin.setRaw(false);
  }
}
