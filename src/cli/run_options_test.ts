import assert from "node:assert/strict";
import { resolve } from "node:path";
import { ConfigError } from "../config/mod.ts";
import { flagsToInput } from "./run_options.ts";

Deno.test("flags become the keys of a configuration", () => {
  assert.deepEqual(
    flagsToInput({
      kernel: "debian",
      memory: "1G",
      cpus: "2",
      disk: ["a.img", "/b.img,readonly,cache=none", "socket=/run/x.sock,queues=2", "vm=d"],
      rng: true,
      console: "none",
      wlSocket: ["wayland=auto", "a=b.sock"],
    }),
    {
      kernel: "debian",
      memory: "1G",
      cpus: 2,
      disk: [
        { path: resolve("a.img") },
        { path: "/b.img", readonly: true, cache: "none" },
        { socket: "/run/x.sock", queues: 2 },
        { provider: "vm:d" },
      ],
      rng: {},
      console: { to: "none" },
      wl: { sockets: { wayland: "auto", a: resolve("b.sock") } },
    },
  );
  assert.deepEqual(flagsToInput({ wl: true }), { wl: { sockets: {} } });
  assert.throws(() => flagsToInput({ wlSocket: ["wayland"] }), /write NAME=PATH/);
  assert.deepEqual(flagsToInput({}), {});
});

Deno.test("an unknown disk option names the valid ones", () => {
  assert.throws(() => flagsToInput({ disk: ["a.img,ro"] }), (error: unknown) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.message, /--disk: "ro" is no option of a disk; use readonly/);
    return true;
  });
});
