import assert from "node:assert/strict";
import { join } from "node:path";
import { parseConfig, type VmInput } from "../../config/mod.ts";
import { AsyncPeer, RequestError, unixTransport } from "../../msg/mod.ts";
import { openFile, Reactor } from "../../os/mod.ts";
import { type Child, Starter } from "../../sandbox/mod.ts";
import { Log } from "../log.ts";
import { RuntimeDir } from "../runtime_dir.ts";
import { tinyTest, TinyVm } from "../testing.ts";
import { startWorker } from "../worker.ts";
import { CONFIG_CONTEXT, guestMessages, providerMessages } from "./guest_messages.ts";
import { Provisions } from "./provisions.ts";

const toTiny = { to: "tiny", device: "disk0", kind: "blk", path: "/dev/vda" } as const;

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((go) => setTimeout(go, 5));
  assert.ok(condition(), "it did not come about within five seconds");
}

/** A VM that provides, of which this process is the monitor and, in place of its guest, serves an image. */
class Provider implements AsyncDisposable {
  readonly provisions: Provisions;
  readonly asked: string[] = [];
  /** What serves, by context. */
  readonly children = new Map<string, Child>();
  readonly #reactor = new Reactor();
  readonly #starter = Starter.spawn(this.#reactor);
  readonly #runtime = RuntimeDir.claim("diskvm");
  #guest: AsyncPeer<typeof providerMessages, typeof guestMessages> | undefined;

  private constructor(
    provides: Provisions["names"],
    config: ConstructorParameters<typeof Provisions>[0],
  ) {
    const log = new Log({ format: "text", level: "error" });
    this.provisions = new Provisions(config, { vm: "diskvm", reactor: this.#reactor, log });
    this.#runtime.record({ provides });
  }

  static async start(provides: VmInput["provides"]): Promise<Provider> {
    const config = await parseConfig("", "test", { name: "diskvm", kernel: "small", provides });
    const names = config.provides.map(({ to, device }) => `${to}/${device}`);
    return new Provider(names, config.provides);
  }

  get state(): string[] {
    return this.provisions.info.map(({ state, detail }) => `${state}: ${detail}`);
  }

  /** The guest boots. */
  boot(image: string): void {
    const socket = this.provisions.open(CONFIG_CONTEXT);
    assert.ok(socket);
    const guest = this.#guest = new AsyncPeer(unixTransport(socket), this.#reactor, {
      calls: providerMessages,
      serves: guestMessages,
      handlers: {
        powerOff: () => void this.asked.push("power off"),
        serve: async ({ context, attempt, device }) => {
          this.asked.push(`${context} ${device.kind}`);
          if (!("path" in device) || device.path !== "/dev/vda") {
            throw new RequestError("unusable", "there is no such file");
          }
          using connection = this.provisions.open(context);
          using disk = openFile(image, { write: true });
          assert.ok(connection);
          const { child, ready } = await startWorker(
            this.#starter,
            { kind: "blk", disk: disk.borrow(), readonly: false, cache: "auto", queues: 1 },
            { how: "connected", socket: connection.borrow() },
          );
          this.children.set(context, child);
          void child.exited.then((end) => {
            this.children.delete(context);
            if (this.#guest !== guest) return;
            guest.note("ended", { context, attempt, how: "signal" in end ? "killed" : "" });
          });
          await ready;
          return null;
        },
      },
    });
    guest.note("hello", { initMs: 1, runtimeMs: 2, readyMs: 3 });
  }

  /** The guest ends, and what runs in it. */
  async crash(): Promise<void> {
    this.#guest?.[Symbol.dispose]();
    this.#guest = undefined;
    const children = [...this.children.values()];
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.exited));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crash();
    this.provisions[Symbol.dispose]();
    this.#runtime[Symbol.dispose]();
    await this.#starter.close();
  }
}

function imageIn(folder: string): string {
  const image = join(folder, "disk.img");
  Deno.writeFileSync(image, new Uint8Array(65536));
  return image;
}

tinyTest(
  "a guest serves a device when it is waited for, and again when its VM comes back",
  async (folder) => {
    const image = imageIn(folder);
    await using provider = await Provider.start([toTiny]);
    assert.deepEqual(provider.state, ["waiting: the guest starts"]);
    provider.boot(image);
    await until(() => provider.state[0] === 'waiting: waits for the VM "tiny", which does not run');

    const disk = [{ provider: "vm:diskvm" }];
    {
      await using tiny = await TinyVm.start(folder, { disk });
      await tiny.vm.started;
      await until(() => provider.state[0] === "serving: ");
      await tiny.type("q");
      await tiny.vm.outcome;
    }
    await until(() => provider.state[0] === 'waiting: waits for the VM "tiny", which does not run');

    await using tiny = await TinyVm.start(folder, { disk });
    await tiny.vm.started;
    const device = () => tiny.vm.info().devices[0];
    assert.deepEqual([device().state, device().away], ["connected", undefined]);
    await provider.crash();
    await until(() => device().state === "away");
    assert.match(device().away ?? "", /waits for the VM "diskvm", which runs and is to serve it/);
    assert.deepEqual(provider.state, ["waiting: the guest starts"]);
    provider.boot(image);
    await until(() => device().restarts === 1);
    assert.deepEqual(provider.asked, ["tiny/disk0 blk", "tiny/disk0 blk", "tiny/disk0 blk"]);
    provider.provisions.powerOff();
    await until(() => provider.asked.at(-1) === "power off");
  },
);

tinyTest("both files must agree, and the state says which does not", async (folder) => {
  await using provider = await Provider.start([toTiny]);
  provider.boot(imageIn(folder));
  await using tiny = await TinyVm.start(folder, { disk: [{ provider: "vm:other" }] });
  await until(() => provider.state[0].includes(`whose disk0 does not have provider = "vm:diskvm"`));
  assert.match(provider.state[0], /but provider = "vm:other"$/);
  await until(() => tiny.vm.info().devices.length > 0);
  assert.throws(
    () => provider.provisions.open("tiny/disk0"),
    (error) => error instanceof RequestError && /does not have provider/.test(error.message),
  );
  assert.equal(
    provider.provisions.open("tiny/disk1"),
    undefined,
    "what is not provided is no context",
  );
  assert.deepEqual(provider.asked, []);
  tiny.vm.quit();
});

tinyTest(
  "what the guest cannot serve is said, tried again and holds up nothing else",
  async (folder) => {
    await using provider = await Provider.start([
      { ...toTiny, path: "/dev/vdx" },
      { ...toTiny, device: "disk1" },
    ]);
    provider.boot(imageIn(folder));
    const disk = [{ provider: "vm:diskvm" }, { provider: "vm:diskvm" }];
    await using tiny = await TinyVm.start(folder, { disk });
    await until(() => provider.state[0] === "failed: there is no such file");
    await until(() => provider.state[1] === "serving: ");
    await until(() => provider.asked.filter((text) => text === "tiny/disk0 blk").length > 2);
    assert.equal(tiny.vm.info().state, "starting");
    tiny.vm.quit();
  },
);

tinyTest(
  "several VMs are served at once, and the end of one is the end of what served it",
  async (folder) => {
    const provides = [toTiny, { ...toTiny, device: "disk1" }, { ...toTiny, to: "other" }];
    await using provider = await Provider.start(provides);
    provider.boot(imageIn(folder));
    const disk = { provider: "vm:diskvm" };
    await using tiny = await TinyVm.start(folder, { disk: [disk, disk] });
    await using other = await TinyVm.start(folder, { name: "other", disk: [disk] });
    await Promise.all([tiny.vm.started, other.vm.started]);
    const serving = () => [...provider.children.keys()].sort();
    assert.deepEqual(serving(), ["other/disk0", "tiny/disk0", "tiny/disk1"]);
    await tiny.vm[Symbol.asyncDispose]();
    await until(() => provider.state[1] === 'waiting: waits for the VM "tiny", which does not run');
    assert.deepEqual(serving(), ["other/disk0"]);
    await other.type("a");
    assert.equal(await other.outputOf(2), "!a");
    assert.deepEqual(other.vm.info().devices.map(({ restarts }) => restarts), [0]);
  },
);

tinyTest("a guest that lies, floods and hangs up is put up with", async (folder) => {
  await using provider = await Provider.start([toTiny]);
  await using tiny = await TinyVm.start(folder, { disk: [{ provider: "vm:diskvm" }] });
  await until(() => tiny.vm.info().devices[0]?.away?.includes("is to serve it") ?? false);
  const times = { initMs: 1, runtimeMs: 2, readyMs: 3 };
  using reactor = new Reactor();
  const connect = (answer: () => null) => {
    const socket = provider.provisions.open(CONFIG_CONTEXT);
    assert.ok(socket);
    return new AsyncPeer(unixTransport(socket), reactor, {
      calls: providerMessages,
      serves: guestMessages,
      handlers: { powerOff() {}, serve: answer },
    });
  };
  for (let i = 0; i < 20; i++) {
    using guest = connect(() => null);
    for (let k = 0; k <= i; k++) guest.note("hello", times);
    for (const context of ["tiny/disk0", "other/disk9"]) {
      guest.note("ended", { context, attempt: i, how: "so it says" });
    }
    await guest.drained();
  }
  {
    using guest = connect(() => {
      throw new RequestError("unusable", `\x1b[31m\n${"x".repeat(2000)}`);
    });
    guest.note("hello", times);
    await until(() => provider.state[0].startsWith("failed"));
    assert.match(provider.state[0], /^failed: {2}\[31m x{100,}$/);
    assert.ok(provider.state[0].length < 300);
    // A new guest takes the place of one that is still there.
    provider.boot(imageIn(folder));
  }
  provider.provisions.powerOff();
  await until(() => provider.state[0] === "serving: ");
  assert.ok(provider.asked.includes("power off"));
});
