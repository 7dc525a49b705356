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
      net: [true, "user", "tap=tap0", "vm=netvm"],
      publish: ["8080:80"],
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
      net: [{ out: "user" }, { out: "user" }, { out: "tap", tap: "tap0" }, {
        provider: "vm:netvm",
      }],
      publish: ["8080:80"],
      rng: {},
      console: { to: "none" },
      wl: { sockets: { wayland: "auto", a: resolve("b.sock") } },
    },
  );
  assert.deepEqual(flagsToInput({ wl: true }), { wl: { sockets: {} } });
  assert.throws(() => flagsToInput({ wlSocket: ["wayland"] }), /write NAME=PATH/);
  assert.deepEqual(flagsToInput({ image: "web", overlay: "1G", disposable: true }), {
    ...{ image: "web", overlay: "1G", disposable: true },
  });
  assert.deepEqual(flagsToInput({}), {});
});

Deno.test("an unknown disk option names the valid ones", () => {
  assert.throws(() => flagsToInput({ disk: ["a.img,ro"] }), (error: unknown) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.message, /--disk: "ro" is no option of a disk; use readonly/);
    return true;
  });
});

Deno.test("a file that --net would take for a way out is named, and so is a port that is none", () => {
  assert.throws(
    () => flagsToInput({ net: ["app.toml"] }),
    /--net: "app.toml" is no way out; write user, tap=NAME or vm=NAME \(a file's name stands before --net\)/,
  );
  assert.throws(
    () => flagsToInput({ publish: ["80"] }),
    /--publish: "80" publishes no port; write HOST:GUEST/,
  );
});
