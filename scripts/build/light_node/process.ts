/** What a parser of command lines asks of `node:process`. */

type Stream = Pick<typeof Deno.stdout, "isTerminal" | "writeSync">;

function stream(of: Stream) {
  return {
    get isTTY() {
      return of.isTerminal();
    },
    get columns() {
      return Deno.consoleSize().columns;
    },
    hasColors: () => !Deno.noColor,
    write(text: string): boolean {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += of.writeSync(bytes.subarray(at));
      return true;
    },
  };
}

export default {
  stdout: stream(Deno.stdout),
  stderr: stream(Deno.stderr),
  platform: Deno.build.os,
  versions: {},
  execArgv: [],
  get execPath() {
    return Deno.execPath();
  },
  get argv() {
    return [Deno.execPath(), "spectrum", ...Deno.args];
  },
  env: new Proxy<Record<string, string | undefined>>({}, {
    get: (_, name) => typeof name === "string" ? Deno.env.get(name) : undefined,
    has: (_, name) => typeof name === "string" && Deno.env.has(name),
  }),
  exit: (status = 0) => Deno.exit(status),
  // Only commands that are other programs wait for signals, and we have none.
  on: () => {},
};
