import assert from "node:assert/strict";
import { socketPath } from "./socket_path.ts";

const path = (name: string, environment: Record<string, string> = {}) =>
  socketPath(name, { get: (key) => environment[key] });

Deno.test("where programs look for a socket of the host", () => {
  assert.equal(path("db"), "/run/db");
  assert.equal(path("db", { XDG_RUNTIME_DIR: "/run/user/0" }), "/run/user/0/db");
  assert.equal(path("wayland"), "/run/wayland-0");
  assert.equal(path("wayland", { XDG_RUNTIME_DIR: "/r", WAYLAND_DISPLAY: "wl-7" }), "/r/wl-7");
  assert.equal(path("wayland", { XDG_RUNTIME_DIR: "/r", WAYLAND_DISPLAY: "/x/wl" }), "/x/wl");
  assert.equal(path("db", { WAYLAND_DISPLAY: "/x/wl" }), "/run/db");
});
