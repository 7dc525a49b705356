import type { Dice } from "./dice.ts";

/** Something of the program that has to bear whatever others do, and a game in which they do it. */
export interface FuzzTarget {
  /** On the command line, and of the folder of its corpus. */
  readonly name: string;
  /** What holds whatever happens: the name of its test. */
  readonly promise: string;
  /**
   * Plays one game, until the dice say that it is over or there is nothing left to do; throws when the promise is broken.
   * Returns how many turns it had: chains, messages, requests.
   */
  play(dice: Dice): number | Promise<number>;
  /** Turns of its test beyond the corpus: some seconds' worth. */
  readonly turns: number;
  /** Bytes of the tapes that chance writes. The longer, the less often a game is set up. */
  readonly tapeLength: number;
  /** After its test: throws when the games did not get to what they are about, since then they tested too little. */
  reached?(): void;
  /** It cannot be played here. */
  readonly ignore?: boolean;
}
