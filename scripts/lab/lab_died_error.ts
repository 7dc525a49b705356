/** The lab host ended while it still had work: why, as far as its console tells, and the console's last lines. */
export class LabDiedError extends Error {
  constructor(readonly reason: string, readonly console: string) {
    super(
      `The lab host died: ${reason}.${
        console === "" ? "" : `\nThe last lines of its console:\n${console}`
      }`,
    );
    this.name = "LabDiedError";
  }
}

const TAIL_LINES = 25;

/** Reads the reason from the console, and of a panic shows the beginning rather than the end. */
export function labDied(consoleText: string, status: Deno.CommandStatus): LabDiedError {
  const lines = consoleText.replaceAll("\r", "").split("\n").filter((line) => line.trim() !== "");
  const panic = lines.findIndex((line) => line.includes("Kernel panic"));
  if (panic >= 0) {
    const reason = lines[panic].replace(/^.*Kernel panic - /, "");
    return new LabDiedError(
      `kernel panic: ${reason}`,
      lines.slice(panic, panic + TAIL_LINES).join("\n"),
    );
  }
  const reason = status.signal !== null
    ? `QEMU was ended by ${status.signal}`
    : status.code !== 0
    ? `QEMU ended with status ${status.code}`
    : "it powered off or was reset";
  return new LabDiedError(reason, lines.slice(-TAIL_LINES).join("\n"));
}
