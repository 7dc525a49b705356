import assert from "node:assert/strict";
import { VmStateError } from "../machine/mod.ts";
import { ConnectionLostError, NoSuchVmError } from "./errors.ts";
import { ServedVm } from "./testing.ts";
import { Vm } from "./vm.ts";

/** Serves a fake VM where {@linkcode Vm.connect} looks for it. */
async function serve(name: string): Promise<AsyncDisposable & { served: ServedVm }> {
  const served = await ServedVm.start({ name });
  const before = Deno.env.get("XDG_RUNTIME_DIR");
  Deno.env.set("XDG_RUNTIME_DIR", served.base);
  return {
    served,
    async [Symbol.asyncDispose]() {
      if (before === undefined) Deno.env.delete("XDG_RUNTIME_DIR");
      else Deno.env.set("XDG_RUNTIME_DIR", before);
      await served[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a VM is driven by its handle", async () => {
  await using place = await serve("app");
  await using vm = await Vm.connect("app");
  assert.equal((await vm.info()).name, "app");
  assert.equal((await vm.config()).kernel, "/boot/fake");
  assert.equal((await vm.devices())[0].name, "disk0");
  assert.match(await vm.metrics(), /spectrum_vm_cpus\{vm="app"\} 2/);
  assert.equal(await vm.pause(), "paused");
  await assert.rejects(vm.reset(), (error: unknown) => {
    assert.ok(error instanceof VmStateError);
    assert.equal(error.state, "paused");
    return true;
  });
  const { restarts } = await vm.restartDevice("disk0", { waitMs: 1 });
  assert.equal(restarts, 2);
  await assert.rejects(vm.restartDevice("disc0"), /no device "disc0"\. Did you mean "disk0"/);
  await assert.rejects(vm.restartDevice("disk0", { waitMs: -1 }), /waitMs: a number of at least 0/);
  await vm.snapshot("/tmp/snapshot");
  assert.deepEqual(place.served.vm.snapshots, ["/tmp/snapshot"]);
  assert.equal(await vm.resume(), "running");
  assert.deepEqual((await Vm.list()).map(({ name, running }) => [name, running]), [["app", true]]);
});

Deno.test("events come in order until the VM has ended", async () => {
  await using place = await serve("app");
  await using vm = await Vm.connect("app");
  const kinds: string[] = [];
  const listening = (async () => {
    for await (const { kind } of vm.events()) kinds.push(kind);
  })();
  while (place.served.vm.listeners === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await vm.pause();
  await vm.resume();
  const outcome = vm.outcome();
  while (place.served.vm.listeners === 1) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(await vm.stop(), { kind: "off" });
  await listening;
  assert.deepEqual(kinds, ["paused", "resumed", "power-button", "ended"]);
  assert.deepEqual(await outcome, { kind: "off" });
});

Deno.test("who stops listening is not told more", async () => {
  await using place = await serve("app");
  await using vm = await Vm.connect("app");
  const abort = new AbortController();
  const listening = (async () => {
    for await (const _event of vm.events(abort.signal)) abort.abort();
  })();
  while (place.served.vm.listeners === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  place.served.vm.tell("reset");
  await listening;
  while (place.served.vm.listeners > 0) await new Promise((resolve) => setTimeout(resolve, 1));
});

Deno.test("who only connected is told why a VM failed", async () => {
  await using place = await serve("app");
  await using vm = await Vm.connect("app");
  const outcome = vm.outcome();
  while (place.served.vm.listeners === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  place.served.vm.end({ kind: "failed", reason: "the guest's kernel panicked" });
  assert.deepEqual(await outcome, { kind: "failed", reason: "the guest's kernel panicked" });
});

Deno.test("the console is a pair of streams", async () => {
  await using _place = await serve("app");
  await using vm = await Vm.connect("app");
  await using attached = await vm.console();
  await attached.send("hello\n");
  let seen = "";
  const decoder = new TextDecoder();
  for await (const bytes of attached.readable) {
    seen += decoder.decode(bytes, { stream: true });
    if (seen.includes("you said: hello")) break;
  }
  assert.match(seen, /^fake guest/);
});

Deno.test("a VM that is not there, and one that went away", async () => {
  await using place = await serve("app");
  await assert.rejects(Vm.connect("apq"), (error: unknown) => {
    assert.ok(error instanceof NoSuchVmError);
    assert.equal(error.nearest, "app");
    return true;
  });
  await using vm = await Vm.connect("app");
  await place.served.server[Symbol.asyncDispose]();
  await assert.rejects(vm.info(), ConnectionLostError);
});
