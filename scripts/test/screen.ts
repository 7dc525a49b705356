/**
 * Where the output of tests goes that run at the same time: that of one shows as it comes, that of the others when they
 * have their turn.
 */
export class Screen {
  #waiting: Uint8Array[] | undefined = [];

  write(bytes: Uint8Array): void {
    if (this.#waiting !== undefined) this.#waiting.push(bytes);
    else for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  }

  say(line: string): void {
    this.write(new TextEncoder().encode(`${line}\n`));
  }

  /** It is its turn: shows what has come, and from now on what comes. */
  show(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const bytes of waiting) this.write(bytes);
  }
}
