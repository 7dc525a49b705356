// The driver of virtio-wl in Linux as a program, under KASAN, lockdep and kmemleak: native, and so a hundred times as fast
// as in the lab. What it lacks is mapped memory: Linux's own frontend has no place for it.
import assert from "node:assert/strict";
import { DeviceId } from "../../src/virtio/mod.ts";
import { DeviceProcess } from "../interop/device_process.ts";
import { assertUnbroken, BROKEN, LIED_TO } from "../lab/wl/lied_to.ts";
import { UserModeGuest } from "./user_mode_guest.ts";

const LIES = Number(Deno.env.get("SPECTRUM_WL_LIES") ?? 1_000_000);
/** It tells some ten thousand a second. */
const LIMIT = 120 + LIES / 1000;

Deno.test("the driver of virtio-wl", async (t) => {
  await using guest = await UserModeGuest.build();
  const { folder } = guest;

  await t.step("a device that lies does not break it", async () => {
    const socket = `${folder}/liar.sock`;
    await using liar = await Liar.start(socket);
    const output = await guest.run(LIED_TO, { socket, id: DeviceId.Wl }, LIMIT);
    assertUnbroken(output, true, liar.said);
  });

  await t.step("programs share everything but memory with the host", async () => {
    const server = `${folder}/test.sock`, socket = `${folder}/wl.sock`;
    const program = new URL("../lab/wl/host.ts", import.meta.url).pathname;
    const host = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", program, server],
    }).spawn();
    try {
      const words = ["--wl-socket", `test=${server}`];
      await using _device = await DeviceProcess.start("wl", socket, words);
      const tests = "pipes 3 events 200 silent stream 64";
      const script = `dmesg -c >/dev/null; wl_guest ${tests}; dmesg | grep -E "${BROKEN.source}"`;
      const output = await guest.run(script, { socket, id: DeviceId.Wl }, LIMIT);
      assert.match(output, /wl: stream ok/, output);
      assert.doesNotMatch(output, /failed|Call Trace/);
    } finally {
      host.kill("SIGKILL");
      await host.status;
    }
  });
});

/** A process that serves the device. */
class Liar implements AsyncDisposable {
  said = "";
  readonly #process: Deno.ChildProcess;
  readonly #heard: Promise<void>;

  private constructor(process: Deno.ChildProcess, ready: () => void) {
    this.#process = process;
    this.#heard = this.#hear(ready);
  }

  /** Resolves when it listens. */
  static async start(socket: string): Promise<Liar> {
    const program = new URL("../lab/wl/hostile_host.ts", import.meta.url).pathname;
    const seed = `${Date.now() % 2 ** 31}`;
    const process = new Deno.Command(Deno.execPath(), {
      // Linux's own frontend does not tell of a reset, so nothing may bring one about.
      args: ["run", "-A", "--no-check", program, socket, `${LIES}`, seed, "all", "whole-rings"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    return await new Promise((resolve, reject) => {
      const liar: Liar = new Liar(process, () => resolve(liar));
      void process.status.then(() => reject(new Error(liar.said)));
    });
  }

  async #hear(ready: () => void): Promise<void> {
    for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.said += text;
      if (this.said.includes("ready")) ready();
      if (text.includes("lies are told")) console.log(text.trim());
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#process.status;
    await this.#heard;
  }
}
