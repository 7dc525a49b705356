import assert from "node:assert/strict";
import { join } from "node:path";
import { listenUnix } from "../os/mod.ts";
import { RequestError } from "../msg/mod.ts";
import { HostSockets } from "./host_sockets.ts";

const fails = (code: string) => (error: unknown) =>
  error instanceof RequestError && error.code === code;

Deno.test("a guest reaches the sockets of its configuration by name, and no others", () => {
  const folder = Deno.makeTempDirSync();
  const path = join(folder, "s");
  using listening = listenUnix(path);
  const sockets = new HostSockets({ test: path, gone: join(folder, "gone") });
  using connected = sockets.open("test");
  assert.equal(connected.closed, false);
  assert.throws(() => sockets.open("other"), fails("unknown"));
  assert.throws(() => sockets.open(path), fails("unknown"));
  assert.throws(() => sockets.open("gone"), fails("unreachable"));
  assert.throws(() => new HostSockets().open("wayland"), fails("unknown"));
  assert.equal(listening.closed, false);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("a listener that takes nobody holds nobody up", () => {
  const folder = Deno.makeTempDirSync();
  const path = join(folder, "s");
  using _listening = listenUnix(path);
  using waiting = new DisposableStack();
  const sockets = new HostSockets({ test: path });
  assert.throws(() => {
    for (let i = 0; i < 10_000; i++) waiting.use(sockets.open("test"));
  }, fails("unreachable"));
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("the Wayland display is found as its clients find it", () => {
  const folder = Deno.makeTempDirSync();
  const before = ["WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"].map((name) =>
    [name, Deno.env.get(name)] as const
  );
  try {
    Deno.env.set("XDG_RUNTIME_DIR", folder);
    using _zero = listenUnix(join(folder, "wayland-0"));
    using _seven = listenUnix(join(folder, "wayland-7"));
    Deno.env.delete("WAYLAND_DISPLAY");
    new HostSockets({ wayland: "auto" }).open("wayland")[Symbol.dispose]();
    Deno.env.set("WAYLAND_DISPLAY", "wayland-7");
    const seven = new HostSockets({ wayland: "auto" });
    seven.open("wayland")[Symbol.dispose]();
    Deno.env.set("WAYLAND_DISPLAY", join(folder, "wayland-0"));
    Deno.env.delete("XDG_RUNTIME_DIR");
    new HostSockets({ wayland: "auto" }).open("wayland")[Symbol.dispose]();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    Deno.removeSync(folder, { recursive: true });
  }
});
