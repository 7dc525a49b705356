import assert from "node:assert/strict";
import { join } from "node:path";
import { tinyTest, TinyVm } from "../testing.ts";
import { sha256 } from "./write_snapshot.ts";

/** What the guest answers to `c`: its count's lowest byte, in two characters. */
async function count(tiny: TinyVm): Promise<string> {
  // Before that there is nobody to hear it.
  await tiny.vm.started;
  const before = tiny.output.length;
  await tiny.type("c");
  return (await tiny.outputOf(before + 2)).slice(before);
}

tinyTest("a guest goes on where it was saved, twice, and so does the saved one", async (folder) => {
  const dir = join(folder, "snapshot");
  await using first = await TinyVm.start(folder, { cpus: 2, memory: "64M" });
  await first.outputOf(1);
  await assert.rejects(first.vm.snapshot(dir), /Cannot take a snapshot of a VM that is running/);
  await first.vm.pause();
  // Typed but not yet read by the guest: part of what is saved.
  await first.type("z");
  await first.vm.snapshot(dir);
  await assert.rejects(first.vm.snapshot(dir), /exists already/);
  await assert.rejects(first.vm.snapshot(join(dir, "ram0", "x")), {
    name: "MachineError",
    message: /^Cannot write the snapshot .*ram0/,
  });
  assert.equal((Deno.statSync(dir).mode ?? 0) & 0o077, 0);
  const { blocks } = Deno.statSync(join(dir, "ram0"));
  assert.ok((blocks ?? 0) * 512 < 2 ** 20, `${blocks} blocks`);
  await first.vm.resume();
  assert.equal(await first.outputOf(2), "!z");

  await using second = await TinyVm.restore(dir, { name: "second" });
  assert.equal(await second.outputOf(1), "z", "it does not begin anew");
  await using third = await TinyVm.restore(dir, { name: "third" });
  assert.equal(await third.outputOf(1), "z");
  for (const tiny of [first, second, third]) {
    const counts = new Set<string>();
    for (let i = 0; i < 50 && counts.size < 2; i++) counts.add(await count(tiny));
    assert.equal(counts.size, 2, "it counts on");
  }
  await second.type("q");
  assert.deepEqual(await second.vm.outcome, { kind: "off" });
  await third.vm.pause();
  await third.vm.snapshot(join(folder, "again"));
  // A reset boots the kernel.
  third.vm.reset();
  await third.outputOf(third.output.length + 1);
  assert.equal(third.output.at(-1), "!");
  await using fourth = await TinyVm.restore(join(folder, "again"), { name: "fourth" });
  await count(fourth);
});

tinyTest("what cannot be restored is refused, with the reason", async (folder) => {
  const dir = join(folder, "snapshot");
  {
    await using first = await TinyVm.start(folder);
    await first.outputOf(1);
    await first.vm.pause();
    await first.vm.snapshot(dir);
  }
  const refused = async (why: RegExp, changes = {}) => {
    await assert.rejects(
      async () => {
        await using tiny = await TinyVm.restore(dir, changes);
        await tiny.vm.started;
      },
      { message: why },
    );
  };
  await refused(/16777216 bytes of memory, the VM is to have 33554432/, { memory: "32M" });
  await refused(/is of 1 vCPUs, the VM is to have 2/, { cpus: 2 });
  await refused(/a machine with other devices/, { rng: {} });

  const file = (name: string) => join(dir, name);
  /** Damages a file, tries, and mends it. */
  const damaged = async (name: string, why: RegExp, damage: (path: string) => void) => {
    const before = Deno.readFileSync(file(name));
    damage(file(name));
    await refused(why);
    await Deno.remove(file(name), { recursive: true }).catch(() => {});
    Deno.writeFileSync(file(name), before);
  };
  const replace = (from: string, to: string) => (path: string) => {
    const text = Deno.readTextFileSync(path);
    assert.ok(text.includes(from), from);
    Deno.writeTextFileSync(path, text.replace(from, to));
  };
  const manifest = "snapshot.json";
  await damaged(
    manifest,
    /layout 2; this program reads 1/,
    replace('"version": 1', '"version": 2'),
  );
  for (const odd of ['{ "toString": 1 }', `${"[".repeat(50_000)}${"]".repeat(50_000)}`]) {
    await damaged(manifest, /layout \?; this/, replace('"version": 1', `"version": ${odd}`));
  }
  await damaged(
    manifest,
    /^.{1,300}memory\.0\.size of snapshot\.json: .{20,120}\.$/,
    replace('"size": 16777216', `"size": "\\u001b[2J${"x".repeat(10_000)}"`),
  );
  await damaged(manifest, /is not a snapshot/, replace("spectrum-snapshot", "shopping-list"));
  await damaged(manifest, /snapshot\.json is not JSON/, (path) => Deno.truncateSync(path, 100));
  await damaged(manifest, /created of snapshot\.json/, replace('"created"', '"creator"'));
  await damaged(manifest, /there is no snapshot\.json in it/, Deno.removeSync);
  await damaged(manifest, /snapshot\.json is no file/, (path) => {
    Deno.removeSync(path);
    Deno.mkdirSync(path);
  });
  await damaged("state.json", /state\.json is not what was written/, replace('"0x', '"0x1'));
  await damaged("ram0", /ram0 has 4096 bytes and not 16777216/, (p) => Deno.truncateSync(p, 4096));
  await damaged("ram0", /there is no ram0 in it/, Deno.removeSync);
  await using tiny = await TinyVm.restore(dir);
  await count(tiny);
});

/** Changes what is in a snapshot's state, and makes its checksum right again. */
async function tamper(
  dir: string,
  change: (state: Record<string, unknown>) => void,
): Promise<void> {
  const state = JSON.parse(Deno.readTextFileSync(join(dir, "state.json")));
  change(state);
  const json = JSON.stringify(state);
  Deno.writeTextFileSync(join(dir, "state.json"), json);
  const path = join(dir, "snapshot.json");
  const manifest = JSON.parse(Deno.readTextFileSync(path));
  Deno.writeTextFileSync(path, JSON.stringify({ ...manifest, stateSha256: await sha256(json) }));
}

tinyTest("device state that no device can be in is refused, and harms nobody", async (folder) => {
  const dir = join(folder, "snapshot");
  {
    await using first = await TinyVm.start(folder, { rng: {}, disk: [] });
    await first.outputOf(1);
    await first.vm.pause();
    await first.vm.snapshot(dir);
  }
  const json = Deno.readTextFileSync(join(dir, "state.json"));
  type Devices = { devices: { bytes: string } };
  const saved = Uint8Array.fromBase64((JSON.parse(json) as Devices).devices.bytes);
  const vcpus = (state: Record<string, unknown>) => state.vcpus as { xsave: string }[];
  await tamper(dir, (state) => vcpus(state)[0].xsave = "AAAA");
  {
    await using tiny = await TinyVm.restore(dir);
    await assert.rejects(tiny.vm.started, /has 3 bytes of vector registers/);
  }
  type Vcpu = { parts: Record<string, string>; msrs: unknown[] };
  const unknownMsrs = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ index: 0xdead_0000 + i, data: "0x1" }));
  const tampered = async (change: (vcpu: Vcpu) => void) => {
    Deno.writeTextFileSync(join(dir, "state.json"), json);
    await tamper(dir, (state) => change((state.vcpus as Vcpu[])[0]));
    return await TinyVm.restore(dir);
  };
  {
    await using tiny = await tampered(({ msrs }) => void msrs.push(...unknownMsrs(300)));
    await tiny.vm.started;
  }
  for (
    const [change, message] of [
      [(vcpu) => vcpu.msrs = unknownMsrs(5000), /damaged: vcpus\.0\.msrs of state\.json/],
      [({ parts }) => parts.events = "/".repeat(85) + "w==", /restored: Cannot set the events/],
    ] satisfies [(vcpu: Vcpu) => void, RegExp][]
  ) {
    await using tiny = await tampered(change);
    await assert.rejects(tiny.vm.started, { name: "MachineError", message });
  }
  let refused = 0;
  const random = pseudoRandom(1);
  for (let round = 0; round < 15; round++) {
    const bytes = saved.slice();
    if (round === 0) bytes.fill(0xff);
    // Mostly small registers: the rings of the serial port take up most of the state.
    else {
      for (let i = 0; i < 200; i++) {
        const near = random() < 0.8 ? bytes.length - 8192 : 0;
        const at = near + Math.floor(random() * (bytes.length - near));
        bytes[at] = random() < 0.5 ? 0xff : Math.floor(random() * 256);
      }
    }
    Deno.writeTextFileSync(join(dir, "state.json"), json);
    await tamper(dir, (state) => (state as Devices).devices.bytes = bytes.toBase64());
    await using tiny = await TinyVm.restore(dir);
    try {
      await tiny.vm.started;
      // Whoever looks at it, or uses it, gets an answer.
      tiny.vm.info();
      tiny.vm.powerButton();
    } catch (error) {
      refused++;
      assert.match(String(error), /MachineError|VmStateError/);
    }
  }
  assert.ok(refused > 0, "nothing was ever refused");
});

function pseudoRandom(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}
