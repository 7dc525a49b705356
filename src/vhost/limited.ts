/** A log for what a peer can cause as often as it likes. */
export function limited(log: (text: string) => void, lines = 20): (text: string) => void {
  return (text) => {
    if (lines > 0) log(text);
    if (--lines === 0) log("there is more of this, which is not shown");
  };
}
