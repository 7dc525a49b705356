import { join } from "node:path";
import { type Fd, OsError, type Owned } from "../os/mod.ts";
import { RequestError } from "../msg/mod.ts";
import { type Dialer, directly } from "./dialer.ts";
import { MachineError } from "./outcome.ts";
import type { NamedSockets } from "./worker.ts";

/** The sockets of the host that a guest may open, by name. Whatever is not here is not reachable. */
export class HostSockets implements NamedSockets {
  readonly #paths: ReadonlyMap<string, string>;
  readonly #dialer: Dialer;

  /** @param paths by name; `auto` is where this user's Wayland clients look */
  constructor(paths: Readonly<Record<string, string>> = {}, dialer: Dialer = directly) {
    this.#paths = new Map(
      Object.entries(paths).map(([name, path]) => [name, path === "auto" ? waylandSocket() : path]),
    );
    this.#dialer = dialer;
    for (const path of this.#paths.values()) dialer.admit(path);
  }

  get names(): string[] {
    return [...this.#paths.keys()];
  }

  /**
   * A new connection.
   *
   * @throws RequestError `unknown` or `unreachable`
   */
  open(name: string): Owned<Fd> {
    const path = this.#paths.get(name);
    if (path === undefined) {
      const known = this.names.join(", ") || "none";
      throw new RequestError(
        "unknown",
        `there is no socket ${JSON.stringify(name)}; those in [wl.sockets]: ${known}`,
      );
    }
    try {
      return this.#dialer.connect(path);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new RequestError("unreachable", `socket "${name}": ${error.message}`);
    }
  }
}

/** Where the Wayland compositor of this user listens (WAYLAND_DISPLAY as libwayland reads it). */
function waylandSocket(): string {
  const display = Deno.env.get("WAYLAND_DISPLAY") || "wayland-0";
  if (display.startsWith("/")) return display;
  const directory = Deno.env.get("XDG_RUNTIME_DIR");
  if (directory) return join(directory, display);
  throw new MachineError(
    "usage",
    'wl.sockets.wayland = "auto" looks in $XDG_RUNTIME_DIR, which is not set. Set it, or give the path of the socket.',
  );
}
