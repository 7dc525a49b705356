/** What a person asked for by the escape key. */
export type EscapeCommand = "quit" | "power" | "detach" | "help";

const CTRL_A = 0x01;

/** Text of Ctrl-A h. */
export const ESCAPE_HELP = [
  "Ctrl-A x   end the VM at once",
  "Ctrl-A p   press the power button",
  "Ctrl-A d   detach from the VM's console, where it is attached to",
  "Ctrl-A h   this help",
  "Ctrl-A a   send Ctrl-A to the guest",
];

/** Finds Ctrl-A commands in what is typed at a console; everything else goes to the guest. */
export class ConsoleEscape {
  #escaped = false;

  /** Takes typed bytes; gives those for the guest, and the commands among them in order. */
  feed(typed: Uint8Array): { input: Uint8Array; commands: EscapeCommand[] } {
    const input: number[] = [];
    const commands: EscapeCommand[] = [];
    for (const byte of typed) {
      if (!this.#escaped) {
        if (byte === CTRL_A) this.#escaped = true;
        else input.push(byte);
        continue;
      }
      this.#escaped = false;
      const key = String.fromCharCode(byte).toLowerCase();
      if (key === "x") commands.push("quit");
      else if (key === "p") commands.push("power");
      else if (key === "d") commands.push("detach");
      else if (key === "h" || key === "?") commands.push("help");
      else if (key === "a" || byte === CTRL_A) input.push(CTRL_A);
      else input.push(CTRL_A, byte);
    }
    return { input: new Uint8Array(input), commands };
  }
}
