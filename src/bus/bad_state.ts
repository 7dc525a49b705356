/** Saved device state that no device of ours can have been in. */
export class BadState extends Error {
  override readonly name = "BadState";
  constructor(readonly device: string, detail: string) {
    super(`The saved state of ${device} is not one it can be in: ${detail}`);
  }
}
