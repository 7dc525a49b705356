import { payload } from "../os/mod.ts";

/** What became of one attempt to do what a worker must not. */
export interface Attempt {
  readonly name: string;
  /** `refused` for want of a permission; `allowed` when it was not refused, even if it failed otherwise. */
  readonly outcome: "refused" | "allowed";
  /** The error's message, or what was obtained. */
  readonly detail: string;
}

const attempts: Readonly<Record<string, () => unknown>> = {
  "open a file": () => Deno.openSync("/etc/passwd").close(),
  "write a file": () => Deno.writeTextFileSync("/tmp/spectrum-escape", "x"),
  "list a folder": () => [...Deno.readDirSync("/")].length,
  "remove a file": () => Deno.removeSync("/tmp/spectrum-escape-none"),
  "open the memory of this process": () => Deno.openSync("/proc/self/mem").close(),
  "read a file through node:fs": async () =>
    (await import("node:fs")).readFileSync("/etc/passwd").length,
  "connect to a port": async () => (await Deno.connect({ hostname: "127.0.0.1", port: 9 })).close(),
  "connect to a socket": async () =>
    (await Deno.connect({ transport: "unix", path: "/run/x" })).close(),
  "listen": () => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close(),
  "fetch": async () => (await fetch("http://127.0.0.1:8123/")).status,
  "resolve a name": () => Deno.resolveDns("localhost", "A"),
  "spawn": () => new Deno.Command("/bin/true").outputSync().code,
  "spawn through node:child_process": async () =>
    (await import("node:child_process")).execFileSync("/bin/true").length,
  "signal another process": () => Deno.kill(1, "SIGCONT"),
  "read the environment": () => Deno.env.get("HOME"),
  "list the environment": () => Object.keys(Deno.env.toObject()).length,
  "read the host's name": () => Deno.hostname(),
  // deno-lint-ignore spectrum/no-raw-descriptor -- that this fails is the point
  "load a library": () => Deno.dlopen("libc.so.6", {}).close(),
  // deno-lint-ignore spectrum/no-raw-descriptor -- as above
  "load the shim again": () => Deno.dlopen(payload().shim, {}).close(),
  "make a pointer": () => Deno.UnsafePointer.create(4096n) === null,
  "look at an address": () => Deno.UnsafePointer.of(new Uint8Array(100)) === null,
  "ask for reading again": async () => await asked("read"),
  "ask for ffi again": async () => await asked("ffi"),
};

async function asked(name: "read" | "ffi"): Promise<string> {
  const { state } = await Deno.permissions.request({ name });
  if (state !== "granted") throw new Deno.errors.NotCapable(`asking for ${name}: ${state}`);
  return state;
}

/** For tests: tries what a locked-down worker must not be able to do through the runtime. */
export async function escapeAttempts(): Promise<Attempt[]> {
  const results: Attempt[] = [];
  for (const [name, attempt] of Object.entries(attempts)) {
    try {
      results.push({ name, outcome: "allowed", detail: String(await attempt()) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const refused = error instanceof Deno.errors.NotCapable ||
        (error instanceof Error && "code" in error && error.code === "ERR_ACCESS_DENIED");
      results.push({ name, outcome: refused ? "refused" : "allowed", detail: message });
    }
  }
  return results;
}
