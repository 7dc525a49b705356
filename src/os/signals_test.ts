import assert from "node:assert/strict";
import {
  Errno,
  EventFd,
  installKickSignal,
  ioctlFd,
  ioctlRaw,
  kickThread,
  kvmRunLimited,
  openFile,
  Poller,
  threadId,
} from "./mod.ts";

Deno.test("a kick ends the system call that a thread waits in", async () => {
  installKickSignal();
  const worker = new Worker(new URL("./testdata/wait_for_kick.ts", import.meta.url), {
    type: "module",
  });
  const messages: unknown[] = [];
  const first = Promise.withResolvers<number>();
  const second = Promise.withResolvers<number>();
  worker.onmessage = ({ data }) => {
    messages.push(data);
    if (messages.length === 1) first.resolve(data);
    else second.resolve(data);
  };
  const thread = await first.promise;
  assert.notEqual(thread, threadId());
  await new Promise((resolve) => setTimeout(resolve, 50));
  kickThread(thread);
  const waited = await second.promise;
  assert.ok(waited < 5000, `it waited ${waited} ms`);
  worker.terminate();
});

Deno.test("kicking a thread that is not there is an error", () => {
  assert.throws(() => kickThread(2 ** 22 + 1), { code: "ESRCH" });
});

/** Whether anything listens at the port of the runtime's inspector. */
const inspectorListens = () =>
  Deno.readTextFileSync("/proc/net/tcp").includes(`:${(9229).toString(16).toUpperCase()} `);

async function signalled(first: string): Promise<{ alive: boolean; listening: boolean }> {
  const mod = JSON.stringify(import.meta.resolve("./mod.ts"));
  const code = `import { ignoreInspectorSignal } from ${mod};
    ${first}
    console.log("ready");
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 100));`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-lock", code],
    stdout: "piped",
    stderr: "null",
  });
  const child = command.spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  let alive = true;
  child.status.then(() => alive = false);
  let listening = false;
  // The runtime installs its handler about half a second after its start.
  for (let i = 0; i < 15 && alive; i++) {
    try {
      child.kill("SIGUSR1");
    } catch {
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    listening ||= inspectorListens();
  }
  const result = { alive, listening };
  if (alive) child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  return result;
}

Deno.test("SIGUSR1 opens no inspector, early or late", async () => {
  assert.equal(inspectorListens(), false, "something uses the inspector's port already");
  assert.deepEqual(await signalled("ignoreInspectorSignal();"), { alive: true, listening: false });
});

Deno.test("memory becomes no code once that is forbidden", async () => {
  const program = new URL("./testdata/no_new_code.ts", import.meta.url).pathname;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.notEqual(text, "", new TextDecoder().decode(stderr));
  const { isKnown, before, after } = JSON.parse(text);
  assert.deepEqual({ before, after }, { before: false, after: isKnown });
});

Deno.test("running a vCPU has a limit", () => {
  let kvm;
  try {
    kvm = openFile("/dev/kvm", { write: true });
  } catch {
    return; // no KVM here
  }
  using _kvm = kvm;
  const KVM_CREATE_VM = 0xae01;
  const KVM_CREATE_IRQCHIP = 0xae60;
  const KVM_CREATE_VCPU = 0xae41;
  using vm = ioctlFd(kvm, KVM_CREATE_VM);
  assert.equal(ioctlRaw(vm, KVM_CREATE_IRQCHIP, 0), 0);
  using _boot = ioctlFd(vm, KVM_CREATE_VCPU, 0);
  // A second vCPU waits for its start-up interrupt.
  using vcpu = ioctlFd(vm, KVM_CREATE_VCPU, 1);
  const start = performance.now();
  assert.equal(kvmRunLimited(vcpu, 30), -Errno.EINTR);
  const took = performance.now() - start;
  assert.ok(took >= 29 && took < 1000, `${took} ms`);
  // The timer is gone: nothing interrupts a later wait.
  using poller = new Poller();
  using event = EventFd.create();
  poller.add(event.fd, 1);
  const again = performance.now();
  poller.wait(50);
  assert.ok(performance.now() - again >= 49);
});
